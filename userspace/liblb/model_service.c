// SPDX-License-Identifier: GPL-2.0-or-later
/* One service of the model: who is chosen, which slot is whose, and what the maps should hold of it. */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "lb/dp/flow.h"
#include "model_priv.h"
#include "pause.h"
#include "share.h"
#include "sort.h"

/* What a computation is about to make of a service. */
struct lb_outcome {
	struct lb_candidate *candidates;
	bool *was_alive;
	struct lb_warming *warming;
	struct lb_choice choice;
	bool chosen_changed, alive_changed, weights_changed;
	struct lb_maglev *build; /* of the table; NULL: it stays as it is */
	uint16_t *table;
	unsigned int shift;
	struct lb_slots *slots; /* new ones; NULL: those that there are */
	uint32_t now_s;
};

static void free_outcome(struct lb_outcome *o)
{
	if (!o)
		return;
	lb_maglev_free(o->build);
	lb_slots_free(o->slots);
	free(o->table);
	free(o->was_alive);
	free(o->warming);
	free(o->candidates);
	free(o);
}

struct lb_service_entry *lb_service_entry_new(size_t nr_backends)
{
	struct lb_service_entry *s = calloc(1, sizeof(*s));

	if (!s)
		return NULL;
	s->pub.backends = calloc(nr_backends ? nr_backends : 1, sizeof(*s->pub.backends));
	if (!s->pub.backends) {
		free(s);
		return NULL;
	}
	return s;
}

void lb_service_entry_free(struct lb_service_entry *s)
{
	if (!s)
		return;
	lb_service_image_put(s->image);
	free_outcome(s->coming);
	lb_slots_free(s->pub.slots);
	free(s->pub.policy_table);
	lb_maglev_past_put(s->past);
	free(s->pub.backends);
	free(s);
}

struct lb_model_backend *lb_entry_backend(const struct lb_service_entry *s, const struct lb_endpoint *ep, size_t near)
{
	size_t low = 0, high = s->pub.conf.nr_backends;

	if (near < high && !memcmp(&s->pub.backends[near].conf.address, ep, sizeof(*ep)))
		return &s->pub.backends[near];
	while (low < high) {
		size_t mid = (low + high) / 2;
		int order = memcmp(&s->pub.backends[mid].conf.address, ep, sizeof(*ep));

		if (!order)
			return &s->pub.backends[mid];
		if (order < 0)
			low = mid + 1;
		else
			high = mid;
	}
	return NULL;
}

void lb_entry_dirty(struct lb_service_entry *s)
{
	lb_service_image_put(s->image);
	s->image = NULL;
}

void lb_entry_settled(struct lb_service_entry *s)
{
	s->settled = s->pub.slots->shift == s->pub.policy_shift && lb_slots_stable(s->pub.slots);
}

static bool is_up(const struct lb_model_backend *b)
{
	return b->health == LB_HEALTH_UNCHECKED || b->health == LB_HEALTH_UP;
}

/* Not yet checked is no reason to cut what a backend has, nor is a next hop that is lost and may be back soon: it takes
 * nothing new, though. In a panic, one that is down would be chosen if it could be reached, and lives on as if it were.
 */
static bool stays_alive(const struct lb_service_conf *conf, const struct lb_model_backend *b, bool chosen, bool panic)
{
	if (chosen)
		return true;
	if (b->drained)
		return false;
	if (b->conf.admin == LB_ADMIN_DISABLED)
		return conf->on_disable == LB_FATE_KEEP;
	return b->health != LB_HEALTH_DOWN || conf->on_down == LB_FATE_KEEP ||
	       (panic && b->conf.admin == LB_ADMIN_ENABLED && b->conf.weight && !b->next_hop.ifindex);
}

/* A backend that comes up starts slowly where others have served for as long as that takes: those that begin together,
 * with the service or after nobody was left, share all there is from the start. */
static struct lb_warming warm_up(const struct lb_service_entry *s, const struct lb_model_backend *b, uint32_t now_s)
{
	uint64_t slow_start_ns = s->pub.conf.slow_start_ns;
	struct lb_warming w = b->warming;
	bool ready = is_up(b) && b->conf.admin != LB_ADMIN_DISABLED;

	if (!ready || !slow_start_ns)
		return (struct lb_warming){.ready = ready};
	if (!w.ready && !b->chosen && s->pub.choice.chosen &&
	    lb_policy_warmth(now_s - s->serving_s, slow_start_ns) == LB_WARM)
		w = (struct lb_warming){.warmth = 1, .since_s = now_s};
	w.ready = true;
	if (w.warmth)
		w.warmth = lb_policy_warmth(now_s - w.since_s, slow_start_ns) % LB_WARM;
	return w;
}

static int choose(struct lb_service_entry *s, struct lb_outcome *o)
{
	size_t nr = s->pub.conf.nr_backends;

	o->candidates = calloc(nr ? nr : 1, sizeof(*o->candidates));
	o->was_alive = calloc(nr ? nr : 1, sizeof(*o->was_alive));
	o->warming = calloc(nr ? nr : 1, sizeof(*o->warming));
	if (!o->candidates || !o->was_alive || !o->warming)
		return -ENOMEM;
	for (size_t i = 0; i < nr; i++) {
		struct lb_model_backend *b = &s->pub.backends[i];

		o->warming[i] = warm_up(s, b, o->now_s);
		o->candidates[i] = (struct lb_candidate){
			.conf = &b->conf,
			.idx = b->idx,
			.up = is_up(b) && b->next_hop.ifindex,
			.reachable = b->next_hop.ifindex,
			.warmth = o->warming[i].warmth,
			.share = b->share_said,
		};
	}
	o->choice = lb_policy_choose(o->candidates, nr, s->pub.conf.panic_threshold, s->pub.conf.tier_min);
	for (size_t i = 0; i < nr; i++) {
		o->chosen_changed |= o->candidates[i].chosen != s->pub.backends[i].chosen;
		o->weights_changed |= o->warming[i].warmth != s->pub.backends[i].warming.warmth;
		o->weights_changed |= o->candidates[i].chosen && o->candidates[i].share != s->pub.backends[i].share;
	}
	return 0;
}

/* The slots follow the new owners; they have to know first who is alive. */
static int change_slots(struct lb_model *m, struct lb_service_entry *s, struct lb_outcome *o, bool forget,
			uint32_t now_s)
{
	const uint16_t *table = o->table ? o->table : s->pub.policy_table;
	unsigned int shift = o->table ? o->shift : s->pub.policy_shift;
	size_t nr = s->pub.conf.nr_backends;
	int ret = -ENOMEM;

	if (!s->pub.slots || forget || lb_service_conf_state(&s->pub.conf) == LB_STATE_NONE) {
		o->slots = lb_slots_new(shift);
		if (!o->slots)
			return ret;
	}
	for (size_t i = 0; i < nr; i++) {
		uint16_t idx = s->pub.backends[i].idx;
		bool alive = stays_alive(&s->pub.conf, &s->pub.backends[i], o->candidates[i].chosen, o->choice.panic);

		o->was_alive[i] = m->ids.alive[idx];
		o->alive_changed |= alive != o->was_alive[i];
		m->ids.alive[idx] = alive;
	}
	ret = lb_slots_change(o->slots ? o->slots : s->pub.slots, table, shift, lb_ids_alive, &m->ids, now_s);
	for (size_t i = 0; ret && i < nr; i++)
		m->ids.alive[s->pub.backends[i].idx] = o->was_alive[i];
	return ret;
}

/* What each has of the table that was built. */
static void count_slots(struct lb_model *m, struct lb_service_entry *s, const struct lb_maglev *build)
{
	lb_maglev_count(build, m->counts);
	for (size_t i = 0; i < s->pub.conf.nr_backends; i++) {
		s->pub.backends[i].nr_slots = m->counts[s->pub.backends[i].idx];
		m->counts[s->pub.backends[i].idx] = 0;
	}
}

static void commit(struct lb_model *m, struct lb_service_entry *s, struct lb_outcome *o)
{
	size_t nr = s->pub.conf.nr_backends;

	s->pub.choice = o->choice;
	for (size_t i = 0; i < nr; i++) {
		struct lb_model_backend *b = &s->pub.backends[i];

		b->chosen = o->candidates[i].chosen;
		if (o->was_alive[i] && !m->ids.alive[b->idx])
			m->ids.gen[b->idx]++;
		b->gen = m->ids.gen[b->idx];
	}
	if (o->slots) {
		lb_slots_free(s->pub.slots);
		s->pub.slots = o->slots;
		o->slots = NULL;
	}
	if (o->table) {
		free(s->pub.policy_table);
		s->pub.policy_table = o->table;
		s->pub.policy_shift = o->shift;
		o->table = NULL;
		lb_maglev_past_put(s->past);
		s->past = lb_maglev_past(o->build);
		count_slots(m, s, o->build);
	}
	lb_pause();
	lb_entry_settled(s);
	lb_entry_dirty(s);
}

/* Choose, and begin a table where it will be another one. NULL: out of memory. */
static struct lb_outcome *begin(struct lb_model *m, struct lb_service_entry *s, bool whole, uint32_t now_s)
{
	struct lb_outcome *o = calloc(1, sizeof(*o));

	if (!o)
		return NULL;
	o->now_s = now_s;
	if (choose(s, o))
		goto fail;
	lb_pause();
	if (!whole && !o->chosen_changed && !o->weights_changed)
		return o;
	o->build = lb_policy_begin(o->candidates, s->pub.conf.nr_backends, m->hash_key, s->pub.conf.policy, &o->shift);
	if (o->build) {
		lb_pause();
		lb_maglev_follow(o->build, s->past);
		return o;
	}
fail:
	free_outcome(o);
	return NULL;
}

/* What was found out of warmth, and since when the service serves. What was adopted has served for ever. */
static void note_time(struct lb_service_entry *s, const struct lb_outcome *o)
{
	for (size_t i = 0; i < s->pub.conf.nr_backends; i++) {
		s->pub.backends[i].warming = o->warming[i];
		s->pub.backends[i].share = o->candidates[i].share;
	}
	if (!s->pub.choice.chosen && o->choice.chosen)
		s->serving_s = s->adopted ? 0 : o->now_s;
	s->adopted = false;
}

/* The table, if there is one, is whole. As lb_entry_compute. */
static int finish(struct lb_model *m, struct lb_service_entry *s, struct lb_outcome *o, bool forget)
{
	int ret;

	if (o->build)
		o->table = lb_maglev_take(o->build);
	lb_pause();
	ret = change_slots(m, s, o, forget, o->now_s);
	if (ret)
		return ret;
	lb_pause();
	note_time(s, o);
	if (o->table || o->alive_changed) {
		commit(m, s, o);
		s->health_changed = false;
		return 1;
	}
	if (s->health_changed)
		lb_entry_dirty(s); /* for the lines alone, which say what the checks found */
	s->health_changed = false;
	s->pub.choice = o->choice;
	return 0;
}

static void forget_coming(struct lb_service_entry *s)
{
	free_outcome(s->coming);
	s->coming = NULL;
}

int lb_entry_compute(struct lb_model *m, struct lb_service_entry *s, bool whole, bool forget, uint32_t now_s)
{
	struct lb_outcome *o = begin(m, s, whole, now_s);
	int ret;

	if (!o)
		return -ENOMEM;
	forget_coming(s);
	lb_pause();
	if (o->build)
		lb_maglev_fill(o->build, UINT32_MAX);
	ret = finish(m, s, o, forget);
	free_outcome(o);
	return ret;
}

int lb_entry_advance(struct lb_model *m, struct lb_service_entry *s, uint32_t *slots)
{
	uint32_t size, some;
	bool whole;
	int ret;

	if (!s->coming) {
		s->coming = begin(m, s, false, s->stale_s);
		if (!s->coming)
			return -ENOMEM;
		s->stale = false;
	}
	size = 1U << (s->coming->build ? s->coming->shift : s->pub.policy_shift);
	some = size < *slots ? size : *slots;
	whole = !s->coming->build || lb_maglev_fill(s->coming->build, some);
	*slots -= some;
	if (!whole)
		return 1;
	ret = finish(m, s, s->coming, false);
	forget_coming(s);
	s->stale |= ret < 0;
	return ret < 0 ? ret : 0;
}

bool lb_entry_warm(struct lb_service_entry *s, uint32_t now_s, bool *more)
{
	bool changed = false;

	for (size_t i = 0; i < s->pub.conf.nr_backends; i++) {
		const struct lb_warming *w = &s->pub.backends[i].warming;

		if (!w->warmth)
			continue;
		*more = true;
		changed |= lb_policy_warmth(now_s - w->since_s, s->pub.conf.slow_start_ns) != w->warmth;
	}
	return changed;
}

uint64_t lb_model_digest(const struct lb_model_service *s)
{
	struct lb_candidate *candidates = calloc(s->conf.nr_backends + 1, sizeof(*candidates));
	uint64_t digest = 0;

	for (size_t i = 0; candidates && i < s->conf.nr_backends; i++)
		candidates[i] = (struct lb_candidate){.conf = &s->backends[i].conf, .idx = s->backends[i].idx};
	if (candidates && s->policy_table)
		digest = lb_policy_digest(candidates, s->conf.nr_backends, s->policy_table, s->policy_shift);
	free(candidates);
	return digest;
}

double lb_model_weight(const struct lb_model_backend *b)
{
	uint32_t warmth = b->warming.warmth ? b->warming.warmth : LB_WARM;

	/* One division, so that what is whole is whole. */
	return (double)(b->conf.weight * warmth * (b->share ? b->share : LB_SHARE_ALL)) / (LB_WARM * LB_SHARE_ALL);
}

/* As packets count with it: whole numbers. */
static uint16_t weight_of(const struct lb_model_backend *b)
{
	double weight = lb_model_weight(b);

	return weight > 0 && weight < 1 ? 1 : (uint16_t)weight;
}

static bool is_zero(const uint8_t addr[16])
{
	static const uint8_t zero[16];

	return !memcmp(addr, zero, sizeof(zero));
}

static bool is_set(const struct lb_prefix *p)
{
	return p->plen || !is_zero(p->addr);
}

void lb_entry_line(const struct lb_config *c, const struct lb_service_entry *s, const struct lb_model_backend *b,
		   const struct lb_ids *ids, struct lb_backend *line)
{
	bool v4 = lb_addr_is_v4(b->conf.address.addr);
	const struct lb_prefix *source = v4 ? &c->tunnel_source4 : &c->tunnel_source6;
	const struct lb_next_hop *nh = &b->next_hop;
	static const uint8_t health_flags[] = {
		[LB_HEALTH_UNCHECKED] = 0,
		[LB_HEALTH_UNKNOWN] = LB_BACKEND_F_UNKNOWN,
		[LB_HEALTH_UP] = LB_BACKEND_F_UP,
		[LB_HEALTH_DOWN] = LB_BACKEND_F_DOWN,
	};

	*line = (struct lb_backend){
		.mtu = nh->mtu,
		.gue_port = htons(s->pub.conf.gue_port),
		.service = s->pub.idx,
		.port = b->conf.address.port,
		.forward = s->pub.conf.forward,
		.gen = ids->gen[b->idx],
		.src_plen = 128,
		.flags = (ids->alive[b->idx] ? LB_BACKEND_F_ALIVE : 0) | (b->chosen ? LB_BACKEND_F_TAKES_NEW : 0) |
			 (v4 ? LB_BACKEND_F_V4 : 0) | (nh->redirect || nh->vlan.oif ? LB_BACKEND_F_REDIRECT : 0) |
			 (nh->vlan.oif ? LB_BACKEND_F_TAGGED : 0) | health_flags[b->health],
		.oif = nh->ifindex,
		.weight = weight_of(b),
	};
	memcpy(line->addr, b->conf.address.addr, sizeof(line->addr));
	memcpy(line->dmac, nh->dmac, sizeof(line->dmac));
	memcpy(line->smac, nh->smac, sizeof(line->smac));
	memcpy(line->src, v4 ? nh->source4 : nh->source6, sizeof(line->src));
	if (is_set(source)) {
		memcpy(line->src, source->addr, sizeof(line->src));
		line->src_plen = source->plen;
	}
}

static int by_idx(const void *a, const void *b)
{
	return (int)((const struct lb_backend_image *)a)->idx - (int)((const struct lb_backend_image *)b)->idx;
}

static int compare_access(const void *a, const void *b)
{
	return memcmp(a, b, sizeof(struct lb_access_image));
}

static void add_access(struct lb_service_image *image, const struct lb_prefix *p, uint8_t family, uint8_t verdict)
{
	struct lb_access_image *a = &image->access[image->nr_access++];

	*a = (struct lb_access_image){.plen = p->plen, .family = family, .verdict = verdict};
	memcpy(a->addr, p->addr, sizeof(a->addr));
}

/* What of a whole family is said, unless a list says it itself. */
static void add_everybody(struct lb_service_image *image, const struct lb_prefix *all, uint8_t family, uint8_t verdict)
{
	for (size_t i = 0; i < image->nr_access; i++)
		if (image->access[i].plen == all->plen && image->access[i].family == family)
			return;
	add_access(image, all, family, verdict);
}

/* The lists as lines of lb_access. A service without lists has none. */
static int image_access(struct lb_service_image *image, const struct lb_service_conf *conf)
{
	static const struct lb_prefix all4 = {.addr = {[10] = 0xff, 0xff}, .plen = 96}, all6;
	const uint8_t others = conf->nr_allow ? LB_ACCESS_DENY : LB_ACCESS_ALLOW;
	const struct lb_prefix *p;

	if (!conf->nr_allow && !conf->nr_deny)
		return 0;
	image->access = calloc(conf->nr_allow + conf->nr_deny + 2, sizeof(*image->access));
	if (!image->access)
		return -ENOMEM;
	for (p = conf->allow; p < conf->allow + conf->nr_allow; p++)
		add_access(image, p, lb_addr_is_v4(p->addr) ? LB_VIP_V4 : 0, LB_ACCESS_ALLOW);
	for (p = conf->deny; p < conf->deny + conf->nr_deny; p++)
		add_access(image, p, lb_addr_is_v4(p->addr) ? LB_VIP_V4 : 0, LB_ACCESS_DENY);
	add_everybody(image, &all4, LB_VIP_V4, others);
	add_everybody(image, &all6, 0, others);
	qsort(image->access, image->nr_access, sizeof(*image->access), compare_access);
	image->line.flags |= LB_SERVICE_F_ACCESS;
	return 0;
}

uint8_t lb_sticky_ticks(const struct lb_service_conf *conf)
{
	if (conf->affinity.by == LB_AFFINITY_NONE)
		return 0;
	/* One tick more than there are in it: it may begin and end anywhere within one. */
	if (conf->affinity.timeout_ns)
		return (uint8_t)((conf->affinity.timeout_ns >> LB_FLOW_AGE_SHIFT) + 1);
	/* What other policies choose cannot be found again in the table. */
	return conf->policy == LB_POLICY_MAGLEV ? 0 : LB_STICKY_FOR_EVER;
}

static void choosing(const struct lb_service_entry *s, struct lb_service *line)
{
	static const uint8_t choosers[] = {
		[LB_POLICY_MAGLEV] = LB_CHOOSE_BY_TABLE,
		[LB_POLICY_ROUND_ROBIN] = LB_CHOOSE_IN_TURN,
		[LB_POLICY_LEAST_CONN] = LB_CHOOSE_LEAST_CONN,
		[LB_POLICY_RANDOM] = LB_CHOOSE_AT_RANDOM,
	};
	const struct lb_service_conf *conf = &s->pub.conf;

	line->policy = choosers[conf->policy];
	line->sticky_ticks = lb_sticky_ticks(conf);
	if (conf->policy == LB_POLICY_ROUND_ROBIN)
		line->turn_shift = (uint8_t)s->pub.policy_shift;
	if (conf->policy != LB_POLICY_MAGLEV || line->sticky_ticks)
		line->flags |= LB_SERVICE_F_CHOICE;
	if (conf->affinity.by == LB_AFFINITY_NONE)
		return;
	line->flags |= LB_SERVICE_F_AFFINITY;
	line->source_plen4 = (uint8_t)conf->affinity.ipv4_prefix;
	line->source_plen6 = (uint8_t)conf->affinity.ipv6_prefix;
}

static uint64_t server_id(const struct lb_server_id *id)
{
	uint64_t number = 0;

	for (uint8_t i = 0; i < id->len; i++)
		number = number << 8 | id->bytes[i];
	return number;
}

/* Each backend by its server ID, in the configurations that have IDs of its length. */
static int connection_ids(const struct lb_service_entry *s, struct lb_service_image *image)
{
	const struct lb_service_conf *conf = &s->pub.conf;

	if (!conf->quic.nr_configs)
		return 0;
	image->cids = calloc(conf->nr_backends * conf->quic.nr_configs + 1, sizeof(*image->cids));
	if (!image->cids)
		return -ENOMEM;
	image->line.flags |= LB_SERVICE_F_QUIC;
	for (size_t i = 0; i < conf->quic.nr_configs; i++) {
		const struct lb_quic_config *c = &conf->quic.configs[i];

		image->line.quic |= LB_QUIC_CONFIG(c->id, c->server_id_length, c->nonce_length, c->self_length);
		for (size_t j = 0; j < conf->nr_backends; j++) {
			const struct lb_server_id *id = &conf->backends[j].server_id;

			if (id->len == c->server_id_length)
				image->cids[image->nr_cids++] = (struct lb_cid_image){
					.cid = {.server_id = server_id(id),
						.service = s->pub.idx,
						.config = (uint8_t)c->id},
					.backend = s->pub.backends[j].idx,
				};
		}
	}
	qsort(image->cids, image->nr_cids, sizeof(*image->cids), lb_cid_compare);
	return 0;
}

/* Its VIPs and, behind them, what has echo requests to their addresses answered: each address, and prefix, once. They
 * are in order, so that what is of one address comes together. conf_room.c counts the same. */
static void publish_vips(const struct lb_service_conf *conf, struct lb_service_image *image)
{
	for (size_t i = 0; i < conf->nr_vips; i++)
		image->vips[i] = conf->vips[i];
	image->nr_vips = conf->nr_vips;
	for (size_t i = 0; i < conf->nr_vips && conf->ping; i++) {
		struct lb_vip_conf vip = conf->vips[i];
		bool known = false;

		vip.vip.port = 0;
		vip.vip.proto = lb_addr_is_v4(vip.vip.addr) ? IPPROTO_ICMP : IPPROTO_ICMPV6;
		for (size_t k = image->nr_vips; !known && k > conf->nr_vips; k--) {
			if (memcmp(image->vips[k - 1].vip.addr, vip.vip.addr, sizeof(vip.vip.addr)))
				break;
			known = !memcmp(&image->vips[k - 1], &vip, sizeof(vip));
		}
		if (!known)
			image->vips[image->nr_vips++] = vip;
	}
}

/* The addresses by number, of each family apart. */
static int snats(const struct lb_service_entry *s, struct lb_service_image *image)
{
	const struct lb_service_conf *conf = &s->pub.conf;

	if (!lb_service_conf_translates(conf))
		return 0;
	image->line.flags |= LB_SERVICE_F_NAT;
	image->snats = calloc(conf->nr_snat + 1, sizeof(*image->snats));
	if (!image->snats)
		return -ENOMEM;
	for (size_t i = 0; i < conf->nr_snat; i++) {
		bool v4 = lb_addr_is_v4(conf->snat[i]);
		struct lb_snat_image *to = &image->snats[image->nr_snats++];

		to->at = (struct lb_snat){
			.service = s->pub.idx, .v4 = v4, .nr = v4 ? image->line.snat4++ : image->line.snat6++};
		memcpy(to->addr, conf->snat[i], sizeof(to->addr));
	}
	qsort(image->snats, image->nr_snats, sizeof(*image->snats), lb_snat_compare);
	return 0;
}

struct lb_service_image *lb_entry_image(const struct lb_config *c, const struct lb_service_entry *s,
					const struct lb_ids *ids)
{
	const struct lb_service_conf *conf = &s->pub.conf;
	size_t slots_bytes = sizeof(*s->pub.slots->word) << s->pub.slots->shift;
	enum lb_state_mode state = lb_service_conf_state(conf);
	struct lb_service_image *image = lb_service_image_new();

	if (!image)
		return NULL;
	image->idx = s->pub.idx;
	image->line.name_id = lb_name_id(conf->name);
	image->line.mss = conf->mss_clamp;
	if (state == LB_STATE_NONE)
		image->line.flags = LB_SERVICE_F_NO_STATE;
	else if (state == LB_STATE_ALL)
		image->line.flags = LB_SERVICE_F_TRACK_UDP | LB_SERVICE_F_TRACK_TCP;
	else
		image->line.flags = LB_SERVICE_F_TRACK_UDP;
	choosing(s, &image->line);
	image->shift = s->pub.slots->shift;
	image->slots = malloc(slots_bytes);
	image->vips = calloc(conf->nr_vips ? 2 * conf->nr_vips : 1, sizeof(*image->vips));
	image->backends = calloc(conf->nr_backends ? conf->nr_backends : 1, sizeof(*image->backends));
	if (conf->source_rate_limit)
		image->line.source_interval_ns = 1000000000U / conf->source_rate_limit;
	if (!image->slots || !image->vips || !image->backends || image_access(image, conf) ||
	    connection_ids(s, image) || snats(s, image)) {
		lb_service_image_put(image);
		return NULL;
	}
	lb_pause();
	memcpy(image->slots, s->pub.slots->word, slots_bytes);
	publish_vips(conf, image);
	lb_pause();
	for (size_t i = 0; i < conf->nr_backends; i++) {
		image->backends[i].idx = s->pub.backends[i].idx;
		lb_entry_line(c, s, &s->pub.backends[i], ids, &image->backends[i].line);
		image->backends[i].vlan = s->pub.backends[i].next_hop.vlan;
		image->tagged |= image->backends[i].vlan.oif;
	}
	image->nr_backends = conf->nr_backends;
	lb_sort(image->backends, image->nr_backends, sizeof(*image->backends), by_idx);
	return image;
}
