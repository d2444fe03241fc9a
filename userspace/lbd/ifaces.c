// SPDX-License-Identifier: GPL-2.0-or-later
/* Attaches, detaches and looks after interfaces, so that the configuration's are attached whenever they exist. */
#include <errno.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ifaces.h"
#include "log.h"
#include "pause.h"
#include "stats.h"

void lb_ifaces_fini(struct lb_ifaces *f)
{
	free(f->list);
	f->list = NULL;
	f->nr = 0;
}

const struct lb_iface *lb_ifaces_find(const struct lb_ifaces *f, const char *name)
{
	for (size_t i = 0; i < f->nr; i++)
		if (!strcmp(f->list[i].conf.name, name))
			return &f->list[i];
	return NULL;
}

static bool in_config(const struct lb_config *c, const char *name)
{
	for (size_t i = 0; i < c->nr_ifaces; i++)
		if (!strcmp(c->ifaces[i].name, name))
			return true;
	return false;
}

static void log_attached(const struct lb_iface *i)
{
	bool weaker = i->conf.mode == LB_ATTACH_AUTO && i->at.mode == LB_ATTACH_GENERIC;

	lb_log(weaker ? LB_LOG_WARN : LB_LOG_INFO, "msg=\"attached\" interface=%s mode=%s shared=%s note=%s",
	       i->conf.name, lb_attach_mode_name(i->at.mode), i->at.shared ? "true" : "false", lb_quoted(i->at.note));
}

static int attach(struct lb_dataplane *dp, struct lb_iface *i, struct lb_err *err)
{
	struct lb_attachment at;
	int ret;

	/* The verifier looks at the program once more. */
	lb_block_begin();
	ret = lb_dataplane_attach(dp, i->conf.name, i->conf.mode, &at, err);
	lb_block_end();
	i->at = at;
	i->attached = !ret;
	if (!ret) {
		i->note[0] = '\0';
		log_attached(i);
	}
	return ret;
}

/* Keeps why it did not work, and logs it when it is news. */
static void note_failure(struct lb_iface *i, const struct lb_err *err)
{
	const char *why = lb_err_str(err);

	if (!strcmp(i->note, why))
		return;
	strncpy(i->note, why, sizeof(i->note) - 1);
	lb_log(LB_LOG_WARN, "msg=\"not attached; trying again\" interface=%s error=%s", i->conf.name,
	       lb_quoted(i->note));
}

/* @level: of the line that says what went wrong. */
static int detach(struct lb_dataplane *dp, const char *name, enum lb_log_level level)
{
	struct lb_err err = {0};
	int ret = lb_dataplane_detach(dp, name, &err);

	if (!ret)
		lb_log(LB_LOG_INFO, "msg=\"detached\" interface=%s", name);
	else if (ret != -ENODEV && ret != -ENOENT)
		lb_log(level, "msg=\"cannot detach; trying again\" interface=%s error=%s", name,
		       lb_quoted(lb_err_str(&err)));
	return ret;
}

/* Takes back what lb_ifaces_change did to @list[0..@done). */
static void undo(const struct lb_ifaces *f, struct lb_dataplane *dp, const struct lb_iface *list, size_t done)
{
	for (size_t i = 0; i < done; i++) {
		const struct lb_iface *was = lb_ifaces_find(f, list[i].conf.name);
		struct lb_iface again;

		if (!was) {
			detach(dp, list[i].conf.name, LB_LOG_ERROR);
		} else if (was->conf.mode != list[i].conf.mode && was->attached) {
			again = *was;
			attach(dp, &again, NULL);
		}
	}
}

bool lb_ifaces_settled(const struct lb_ifaces *f)
{
	for (size_t i = 0; i < f->nr; i++)
		if (!f->list[i].attached && if_nametoindex(f->list[i].conf.name))
			return false;
	return !f->left_over;
}

int lb_ifaces_would(const struct lb_ifaces *f, const struct lb_config *c, struct lb_err *err)
{
	for (size_t i = 0; i < c->nr_ifaces; i++) {
		const struct lb_iface *was = lb_ifaces_find(f, c->ifaces[i].name);
		char path[32];

		if ((was && was->conf.mode == c->ifaces[i].mode) || if_nametoindex(c->ifaces[i].name))
			continue;
		snprintf(path, sizeof(path), "interfaces[%s]", c->ifaces[i].name);
		return lb_err_set(err, -ENODEV, path, "there is no interface %s; `ip link` lists those there are",
				  c->ifaces[i].name);
	}
	return 0;
}

int lb_ifaces_change(struct lb_ifaces *f, struct lb_dataplane *dp, const struct lb_config *c, bool must,
		     struct lb_err *err)
{
	struct lb_iface *list = calloc(c->nr_ifaces ? c->nr_ifaces : 1, sizeof(*list));
	int ret = 0;

	if (!list)
		return lb_err_set(err, -ENOMEM, NULL, "out of memory");
	for (size_t i = 0; i < c->nr_ifaces; i++) {
		const struct lb_iface *was = lb_ifaces_find(f, c->ifaces[i].name);
		struct lb_err inner = {0};
		char path[32];

		if (was)
			list[i] = *was;
		list[i].conf = c->ifaces[i];
		if (was && was->conf.mode == c->ifaces[i].mode)
			continue;
		ret = attach(dp, &list[i], &inner);
		if (ret && must) {
			snprintf(path, sizeof(path), "interfaces[%s]", c->ifaces[i].name);
			lb_err_set(err, inner.code, path, "%s", lb_err_str(&inner));
			undo(f, dp, list, i + 1);
			free(list);
			return ret;
		}
		if (ret)
			note_failure(&list[i], &inner);
	}
	free(f->list);
	f->list = list;
	f->nr = c->nr_ifaces;
	return 0;
}

int lb_ifaces_wait(struct lb_ifaces *f, const struct lb_config *c, const char *why)
{
	struct lb_iface *list = calloc(c->nr_ifaces ? c->nr_ifaces : 1, sizeof(*list));

	if (!list)
		return -ENOMEM;
	for (size_t i = 0; i < c->nr_ifaces; i++) {
		list[i].conf = c->ifaces[i];
		snprintf(list[i].note, sizeof(list[i].note), "%s", why);
	}
	free(f->list);
	f->list = list;
	f->nr = c->nr_ifaces;
	return 0;
}

bool lb_ifaces_is_attached(const struct lb_ifaces *f, uint32_t ifindex)
{
	for (size_t i = 0; i < f->nr; i++)
		if (f->list[i].attached && f->list[i].at.ifindex == ifindex)
			return true;
	return false;
}

static void drop_unknown(struct lb_ifaces *f, struct lb_dataplane *dp, enum lb_log_level level)
{
	struct if_nameindex *all = if_nameindex();
	struct lb_attachment at;
	int ret;

	f->left_over = !all;
	for (struct if_nameindex *i = all; i && i->if_index; i++) {
		if (lb_ifaces_find(f, i->if_name) || lb_ifaces_is_attached(f, i->if_index))
			continue;
		ret = lb_dataplane_attached(dp, i->if_name, &at);
		if (!ret)
			ret = detach(dp, i->if_name, level);
		f->left_over |= ret && ret != -ENOENT && ret != -ENODEV;
	}
	if (all)
		if_freenameindex(all);
}

void lb_ifaces_drop_unknown(struct lb_ifaces *f, struct lb_dataplane *dp)
{
	drop_unknown(f, dp, LB_LOG_ERROR);
}

void lb_ifaces_drop(struct lb_ifaces *f, struct lb_dataplane *dp, const struct lb_config *from,
		    const struct lb_config *to)
{
	bool unsure = false;

	for (size_t i = 0; i < from->nr_ifaces; i++) {
		if (!in_config(to, from->ifaces[i].name)) {
			int ret = detach(dp, from->ifaces[i].name, LB_LOG_ERROR);

			unsure |= ret && ret != -ENOENT;
		}
	}
	if (unsure)
		drop_unknown(f, dp, LB_LOG_DEBUG);
}

bool lb_ifaces_want_vlans(const struct lb_ifaces *f, const struct lb_config *c, const struct lb_nexthops *n)
{
	for (size_t i = 0; i < c->nr_ifaces; i++) {
		const struct lb_iface *iface = lb_ifaces_find(f, c->ifaces[i].name);
		unsigned int ifindex = iface && *iface->called ? iface->at.ifindex : if_nametoindex(c->ifaces[i].name);

		if (ifindex && lb_nexthops_has_vlans(n, ifindex))
			return true;
	}
	return false;
}

void lb_ifaces_look_at_vlans(struct lb_ifaces *f, const struct lb_nexthops *n)
{
	for (size_t i = 0; i < f->nr; i++) {
		struct lb_iface *iface = &f->list[i];
		bool vlans = iface->attached && lb_nexthops_has_vlans(n, iface->at.ifindex);
		const char *name = *iface->called ? iface->called : iface->conf.name;
		bool hides = vlans && lb_dataplane_hides_tags(name);

		if (vlans != iface->vlans)
			lb_log(LB_LOG_INFO, "msg=\"%s\" interface=%s",
			       vlans ? "has VLAN devices; tagged packets are served" : "has no VLAN devices",
			       iface->conf.name);
		if (hides && !iface->hides_tags)
			lb_log(LB_LOG_WARN,
			       "msg=\"the driver takes VLAN tags off before XDP sees them\" interface=%s "
			       "mend=\"ethtool -K %s rxvlan off\"",
			       iface->conf.name, name);
		iface->vlans = vlans;
		iface->hides_tags = hides;
	}
}

/* What @i is called now. An interface with a name of the configuration is that name's. */
static const char *name_now(const struct lb_ifaces *f, const struct lb_iface *i, char buf[IF_NAMESIZE])
{
	if (!i->attached || if_nametoindex(i->conf.name) || !if_indextoname(i->at.ifindex, buf) ||
	    lb_ifaces_find(f, buf))
		return i->conf.name;
	return buf;
}

static void note_name(struct lb_iface *i, const char *name)
{
	char called[sizeof(i->called)] = "";

	if (strcmp(name, i->conf.name))
		snprintf(called, sizeof(called), "%s", name);
	if (!strcmp(called, i->called))
		return;
	if (*called)
		lb_log(LB_LOG_WARN, "msg=\"an interface was renamed, and stays attached\" interface=%s name=%s",
		       i->conf.name, called);
	memcpy(i->called, called, sizeof(called));
}

/* The interface that had @i's name until another got it is nobody's. */
static void leave_former(struct lb_ifaces *f, struct lb_dataplane *dp, const struct lb_iface *i, uint32_t former)
{
	char name[IF_NAMESIZE];

	if ((i->attached && i->at.ifindex == former) || !if_indextoname(former, name) || lb_ifaces_find(f, name))
		return;
	f->left_over |= detach(dp, name, LB_LOG_ERROR) != 0;
}

bool lb_ifaces_retry(struct lb_ifaces *f, struct lb_dataplane *dp)
{
	char buf[IF_NAMESIZE];
	bool changed = false;

	for (size_t i = 0; i < f->nr; i++) {
		struct lb_iface *iface = &f->list[i];
		const char *name = name_now(f, iface, buf);
		uint32_t former = iface->at.ifindex;
		bool was = iface->attached;
		struct lb_attachment at;
		struct lb_err err = {0};
		int ret = was ? lb_dataplane_attached(dp, name, &at) : -ENOENT;

		if (!ret) {
			note_name(iface, name);
			/* The note of what is as it was says more than can be seen now. */
			if (at.ifindex != iface->at.ifindex || at.mode != iface->at.mode ||
			    at.shared != iface->at.shared)
				iface->at = at;
			continue;
		}
		if (ret != -ENOENT)
			continue; /* it cannot be seen just now, and is as it was */
		iface->called[0] = '\0';
		if (was)
			lb_log(LB_LOG_WARN, "msg=\"an interface went, or lost its program\" interface=%s",
			       iface->conf.name);
		if (attach(dp, iface, &err))
			note_failure(iface, &err);
		if (was)
			leave_former(f, dp, iface, former);
		changed |= was != iface->attached || was;
	}
	if (f->left_over)
		drop_unknown(f, dp, LB_LOG_DEBUG);
	return changed;
}
