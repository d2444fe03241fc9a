/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What announce.c (what is wanted, and doing it) and announce_table.c (what is there) share, and nobody else. */
#ifndef LB_ANNOUNCE_PRIV_H
#define LB_ANNOUNCE_PRIV_H

#include "announce.h"
#include "route_table.h"

/* One destination, however many services have it. */
struct lb_announce_row {
	struct lb_prefix dst;
	bool named;	 /* by a service that is to be announced */
	bool want;	 /* it should be there now */
	bool there;	 /* it is */
	bool retired;	 /* it is in the table that was configured before */
	uint64_t due_ns; /* not to be tried earlier */
	uint64_t put_ns; /* when it was last put there */
	int error;	 /* of the last try; 0 */
};

/* A service that has it; in order of destination, then service. */
struct lb_announce_claim {
	struct lb_prefix dst;
	size_t service; /* in the model's list */
};

struct lb_announce {
	struct event_base *base;
	const struct lb_model *model;
	struct lb_announce_conf conf;
	struct lb_route_table *table, *retired; /* NULL: lost, or none */
	struct event *readable, *work;
	struct lb_announce_row *rows; /* in order of destination */
	size_t nr_rows;
	struct lb_announce_claim *claims;
	size_t nr_claims;
	bool *enough;		 /* of each of the model's services: is it to be announced, and healthy? */
	struct lb_prefix *found; /* while the table is listed */
	size_t nr_found;
	size_t changed; /* routes since there was nothing to do */
	bool working;	/* goes through the rows, with pauses */
	struct lb_work *jobs;
	struct lb_job list_job;
	bool list_due; /* .list_job is in .jobs */
	bool listing, configured, forwarding, started, ended, held;
};

/* As memcmp(): rows and claims begin with their destination. */
int lb_announce_by_dst(const void *a, const void *b);
/* NULL: there is none. */
struct lb_announce_row *lb_announce_row(const struct lb_announce *a, const struct lb_prefix *dst);
/* Is it in one of both tables? */
bool lb_announce_somewhere(const struct lb_announce_row *r);
/* lb_announce_merge - the rows that there are, as far as @stays says so, and those of @list, which is in order, maybe
 * with repetitions. 0 or -ENOMEM with nothing changed. */
int lb_announce_merge(struct lb_announce *a, const struct lb_prefix *list, size_t nr,
		      bool (*stays)(const struct lb_announce_row *r));
void lb_announce_work_within(struct lb_announce *a, uint64_t delay_ns);

/* lb_announce_open - open and list the table; rows say .there. 0 or -errno with @err, and .table is NULL.
 * lb_announce_change_table - open the one that @conf names; the one that there was is .retired, as are its rows. On
 * error everything is as it was. */
int lb_announce_open(struct lb_announce *a, const struct lb_announce_conf *conf, struct lb_err *err);
int lb_announce_change_table(struct lb_announce *a, const struct lb_announce_conf *conf, struct lb_err *err);
void lb_announce_close(struct lb_announce *a);
/* lb_announce_list_anew - list the table again, and open it before where it was lost; soon, beside the loop. */
void lb_announce_list_anew(struct lb_announce *a);

#endif
