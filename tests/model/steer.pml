/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The promise under concurrency: no connection to a live backend moves, provided that it speaks within each learning
 * window. One slot; connections, the packets of each of which are worked on by a CPU of its own; and lbd. Each access to
 * what another writes is a step, and anything may happen between two steps.
 *
 * Taken from the code: lb_flow_steer and lb_learn (bpf/pipeline.h), steer.h, change_slot and tick_slot (slots.c), the
 * order of a plan (plan.h) and the census (model_census.c).
 *
 * Assumed of the world: a packet is through before the second tick of lbd after it began, and before the end of a
 * learning window that began meanwhile; a connection has one packet on its way at a time; a backend that died does
 * not return before its death has been published and the packets of that moment are through.
 *
 * -DNO_... takes a rule or an assumption away, and then the promise must break; tests/model/run has the list.
 * -DONE_SET lets two connections compete for the same places of the cache, and -DEXCHANGE has them do so by
 * compare-and-exchange.
 */
#ifndef CONNS
#define CONNS 1
#endif
#ifndef BACKENDS
#define BACKENDS 3
#endif
#ifndef CHANGES
#define CHANGES 4 /* of what lbd knows of the backends */
#endif
#ifndef OPENS
#define OPENS 2 /* times that each connection is opened */
#endif

#define STABLE 0
#define MOVING 1
#define SETTLING 2

/* the slot as packets read it, and each backend's generation and flags; backend 0 is nobody */
byte phase = STABLE, prev = 0, cur = 1;
byte gen[BACKENDS + 1];
bool alive[BACKENDS + 1], takes_new[BACKENDS + 1];

/* one set of the flow cache, with a place for each connection */
typedef entry {
	byte backend; /* 0: empty */
	byte gen;
	byte tag;
	bool old; /* idle beyond its limit */
};
entry cache[CONNS];

/* what lbd knows, and what it has not published yet */
byte m_phase = STABLE, m_prev = 0, m_cur = 1;
byte m_gen[BACKENDS + 1];
bool m_alive[BACKENDS + 1], m_takes_new[BACKENDS + 1];
bool uncommitted, restarts, deaths, fresh, tick_ends;

/* the truth about the connections, for the assertion */
bool open[CONNS];
byte home[CONNS], home_gen[CONNS];
bool spoke[CONNS];   /* in this window */
bool busy[CONNS];    /* a packet is on its way, ... */
bool early[CONNS];   /* ... since before the window began */
bool ticked[CONNS];  /* ... since before the last tick */
bool mourned[CONNS]; /* ... since before a death was published */

#define LIVES(b, g) (m_alive[b] && m_gen[b] == (g))

inline packet_begins(is_syn)
{
	syn = is_syn;
	busy[me] = true
}

inline store_entry(place, b, generation)
{
	cache[place].backend = b;
	cache[place].gen = generation;
	cache[place].tag = me;
	cache[place].old = false
}

inline packet_ends()
{
	if
	:: syn && chosen && alive[chosen] ->
		open[me] = true;
		home[me] = chosen;
		home_gen[me] = gen[chosen]
	:: !syn && LIVES(home[me], home_gen[me]) ->
		assert(chosen == home[me])
	:: !syn && !LIVES(home[me], home_gen[me]) -> /* a reset is the answer */
		open[me] = false;
		home[me] = 0;
		home_gen[me] = 0
	:: else
	fi;
	spoke[me] = open[me] && !early[me];
	busy[me] = false;
	early[me] = false;
	ticked[me] = false;
	mourned[me] = false;
	w_phase = 0; w_prev = 0; w_cur = 0; chosen = 0; g = 0; way = 0; syn = false; learn = false; found = false
}

proctype connection(byte me)
{
	byte w_phase, w_prev, w_cur, chosen, g, way, opened;
	bool syn, learn, found;

start:	if
	:: atomic { !open[me] && opened < OPENS -> opened++; packet_begins(true) }
	:: atomic { open[me] -> packet_begins(false) }
	:: atomic { open[me] && opened < OPENS ->
		open[me] = false; home[me] = 0; home_gen[me] = 0; spoke[me] = false; goto start }
	/* what a closed connection left in the cache grows old */
	:: atomic { !open[me] && opened < OPENS && cache[me].backend && cache[me].tag == me && !cache[me].old ->
		cache[me].old = true; goto start }
	:: !open[me] && opened == OPENS -> goto end_closed
	fi;

	/* the slot is read */
	atomic {
		w_phase = phase;
		w_prev = prev;
		w_cur = cur;
		chosen = w_cur;
		if
		:: w_phase == STABLE -> goto decided
		:: else
		fi
	}

	/* the set is read */
	atomic {
		do
		:: way == CONNS || cache[way].backend && cache[way].tag == me -> break
		:: else -> way++
		od;
		found = (way < CONNS);
		if
		:: found -> chosen = cache[way].backend; g = cache[way].gen
		:: else -> goto miss
		fi
	}

	/* so is the line of the entry's backend: generation and flags in one */
	atomic {
		if
#ifndef NO_GENERATION
		:: gen[chosen] != g -> goto miss
#endif
		:: else
		fi;
#ifdef NO_ONE_LOAD
	}
	atomic {
#endif
		if
		:: !(alive[chosen] && (!syn || takes_new[chosen])) -> goto miss
		:: else
		fi
	}
	atomic { store_entry(way, chosen, g); goto decided }

miss:	atomic {
		if
		:: w_phase == MOVING && !syn -> chosen = w_prev
		:: else -> chosen = w_cur
		fi;
#ifdef NO_OVERWRITE
		learn = (w_phase == MOVING && !found);
#else
		learn = (w_phase == MOVING || found);
#endif
#ifdef NO_LEARNING
		learn = learn && syn;
#endif
		/* the line of the chosen backend is read */
		if
		:: !learn || !chosen || !alive[chosen] -> goto decided
		:: else
		fi;
#ifdef NO_ONE_LOAD
	}
	atomic {
#endif
		g = gen[chosen]
	}
again:	atomic {
		if
		:: found
		:: !found ->
#ifdef ONE_SET
			way = 0;
			do
			:: way == CONNS || !cache[way].backend -> break
			:: else -> way++
			od;
			assert(way < CONNS)
#else
			way = me
#endif
		fi
	}
	atomic {
#ifdef EXCHANGE
		if
		:: !found && cache[way].backend -> goto again
		:: else
		fi;
#endif
		store_entry(way, chosen, g)
	}

decided:
	atomic { packet_ends(); goto start }

end_closed:
	skip
}

/* ---- lbd ---- */

#define FOR_ALL_CONNS(i) for (i : 0 .. CONNS - 1)
#define IN_WINDOW(i) (early[i] || open[i] && !spoke[i])
#ifdef NO_WINDOW
#define WINDOW_OVER true
#else
#define WINDOW_OVER (!IN_WINDOW(0) && !IN_WINDOW(CONNS - 1))
#endif
#ifdef NO_GRACE
#define GRACE true
#else
#define GRACE (!ticked[0] && !ticked[CONNS - 1])
#endif
#ifdef NO_SECOND_TICK
#define WAS_FRESH false
#else
#define WAS_FRESH was_fresh
#endif
#ifdef NO_PAUSE
#define MAY_RETURN(b) true
#else
#define MAY_RETURN(b) (m_alive[b] || !deaths && !mourned[0] && !mourned[CONNS - 1])
#endif

/* The policy's choice among those that take new connections; here: any. */
inline choose_owner(owner)
{
	if
	:: m_takes_new[1] -> owner = 1
	:: m_takes_new[2] -> owner = 2
#if BACKENDS > 2
	:: m_takes_new[3] -> owner = 3
#endif
	:: !m_takes_new[1] && !m_takes_new[2] && !m_takes_new[BACKENDS] -> owner = 0
	fi
}

/* slots.c: change_slot */
inline change_slot(owner)
{
	if
	:: m_phase == MOVING && !m_alive[m_prev] -> m_phase = SETTLING; m_prev = 0; fresh = true
	:: m_phase == MOVING && m_alive[m_prev] -> restarts = restarts || (!m_cur && owner)
	:: m_phase != MOVING && m_cur != owner && m_alive[m_cur] ->
		m_prev = m_cur;
		m_phase = MOVING;
		restarts = true
	:: else
	fi;
	m_cur = owner
}

/* slots.c: tick_slot */
inline tick_slot()
{
	if
	:: m_phase == MOVING && (!m_alive[m_prev] || m_cur && WINDOW_OVER) ->
		m_prev = 0;
		uncommitted = true;
#ifdef NO_SETTLING
		m_phase = STABLE
#else
		m_phase = SETTLING;
		fresh = true
#endif
#ifdef NO_CENSUS
	:: counted ->
#else
	:: counted && !foreign && !WAS_FRESH ->
#endif
		m_phase = STABLE;
		uncommitted = true
	:: else
	fi
}

proctype lbd()
{
	byte b, i, changes, e_backend, e_gen, e_tag;
	bool e_old, foreign, counted, was_fresh;

end_idle:
	do
	/* a backend starts to serve, drains or dies, or weights change */
	:: atomic { changes < CHANGES ->
		changes++;
		select(b : 1 .. BACKENDS);
		if
		:: MAY_RETURN(b) -> m_alive[b] = true; m_takes_new[b] = true
		:: m_alive[b] -> m_takes_new[b] = false
		:: m_alive[b] ->
			m_alive[b] = false;
			m_takes_new[b] = false;
			m_gen[b]++;
			deaths = true
		:: else
		fi;
		choose_owner(b);
		change_slot(b);
		b = 0;
		uncommitted = true
	   }

	/* a plan: the backends' lines, and the table by one store */
	:: uncommitted ->
		b = 1;
		do
		:: atomic { b <= BACKENDS ->
			gen[b] = m_gen[b];
			alive[b] = m_alive[b];
			takes_new[b] = m_takes_new[b];
			b++ }
		:: b > BACKENDS -> break
		od;
		atomic {
			b = 0;
			phase = m_phase;
			prev = m_prev;
			cur = m_cur;
			uncommitted = false;
			FOR_ALL_CONNS(i) {
				early[i] = early[i] || (restarts && busy[i]);
				spoke[i] = spoke[i] && !restarts;
				mourned[i] = mourned[i] || (deaths && busy[i]);
				ticked[i] = (tick_ends -> busy[i] : ticked[i])
			}
			i = 0;
			restarts = false;
			deaths = false;
			tick_ends = false
		}

	/* a tick: the census, where something settles, then the phase */
	:: atomic { !uncommitted && m_phase != STABLE && GRACE ->
		was_fresh = fresh;
		fresh = false;
		counted = (m_phase == SETTLING)
	   }
		do
		:: atomic { counted && i < CONNS ->
			e_backend = cache[i].backend;
			e_gen = cache[i].gen;
			e_tag = cache[i].tag;
			e_old = cache[i].old }
			if
			:: e_backend && LIVES(e_backend, e_gen) && !e_old ->
				foreign = foreign || e_backend != m_cur
			:: e_backend && !(LIVES(e_backend, e_gen) && !e_old) ->
				atomic {
					if
#ifndef NO_COMPARING
					:: cache[i].backend != e_backend || cache[i].gen != e_gen ||
					   cache[i].tag != e_tag || cache[i].old != e_old ->
						foreign = foreign || (cache[i].backend && cache[i].backend != m_cur)
#endif
					:: else ->
						cache[i].backend = 0;
						cache[i].gen = 0;
						cache[i].tag = 0;
						cache[i].old = false
#ifndef NO_SECOND_LOOK
						;
						foreign = foreign || (LIVES(e_backend, e_gen) && e_backend != m_cur)
#endif
					fi
				}
			:: else
			fi;
			i++
		:: !counted || i == CONNS -> break
		od;
		atomic {
			tick_slot();
			FOR_ALL_CONNS(i) { ticked[i] = busy[i] }
			tick_ends = uncommitted;
			e_backend = 0; e_gen = 0; e_tag = 0; e_old = false; i = 0; counted = false; foreign = false;
			was_fresh = false
		}
	od
}

init {
	byte b;

	atomic {
		for (b : 1 .. BACKENDS) {
			alive[b] = true;
			takes_new[b] = true;
			m_alive[b] = true;
			m_takes_new[b] = true
		}
		b = 0;
		run connection(0);
#if CONNS > 1
		run connection(1);
#endif
		run lbd()
	}
}
