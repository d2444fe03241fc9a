// SPDX-License-Identifier: GPL-2.0-or-later
/* The pin directory: one owner at a time, one folder an ABI version, all maps of it or none. */
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "dataplane_priv.h"
#include "program.h"
#include "lb.skel.h"

#define BPFFS_MAGIC 0xcafe4a11
#define BPFFS_DIR "/sys/fs/bpf"

void lb_pins_add_kin(struct lb_dataplane *dp, int fd)
{
	struct bpf_map_info info = {0};
	__u32 len = sizeof(info);

	if (bpf_obj_get_info_by_fd(fd, &info, &len) || dp->nr_kin == sizeof(dp->kin) / sizeof(dp->kin[0]))
		return;
	for (size_t i = 0; i < dp->nr_kin; i++) {
		if (dp->kin[i] == info.id)
			return;
	}
	dp->kin[dp->nr_kin++] = info.id;
}

/* The nearest directory at or above @path that exists. */
static void existing_dir(const char *path, char *buf, size_t size)
{
	struct stat st;

	snprintf(buf, size, "%s", path);
	while (stat(buf, &st) && strcmp(buf, "/") && strcmp(buf, ".")) {
		char *slash = strrchr(buf, '/');

		if (!slash)
			strcpy(buf, ".");
		else
			slash[slash == buf] = '\0';
	}
}

static bool on_bpffs(const char *path)
{
	char dir[PATH_MAX];
	struct statfs fs;

	existing_dir(path, dir, sizeof(dir));
	return !statfs(dir, &fs) && (unsigned long)fs.f_type == BPFFS_MAGIC;
}

static int ensure_bpffs(const char *pin_dir, struct lb_err *err)
{
	size_t len = strlen(BPFFS_DIR);
	int saved;

	if (on_bpffs(pin_dir))
		return 0;
	if (strncmp(pin_dir, BPFFS_DIR, len) || (pin_dir[len] && pin_dir[len] != '/'))
		return lb_err_set(err, -EINVAL, NULL,
				  "pin directory %s is not on a BPF file system; take one under %s, or mount one: "
				  "mount -t bpf bpf DIR",
				  pin_dir, BPFFS_DIR);
	if (mount("bpf", BPFFS_DIR, "bpf", 0, "mode=0700")) {
		saved = -errno;
		return lb_err_set(
			err, saved, NULL,
			"no BPF file system on %s and it cannot be mounted (%s); as root: mount -t bpf bpf %s",
			BPFFS_DIR, strerror(-saved), BPFFS_DIR);
	}
	return 0;
}

static int make_dirs(const char *path)
{
	char buf[PATH_MAX];

	snprintf(buf, sizeof(buf), "%s", path);
	for (char *p = buf + 1;; p++) {
		char c = *p;

		if (c && c != '/')
			continue;
		*p = '\0';
		if (mkdir(buf, 0700) && errno != EEXIST)
			return -errno;
		if (!c)
			return 0;
		*p = c;
	}
}

static void find_kin(struct lb_dataplane *dp)
{
	DIR *d = opendir(dp->pin_dir);
	struct dirent *e;

	while (d && (e = readdir(d))) {
		char path[PATH_MAX];
		int fd;

		if (e->d_name[0] != 'v' ||
		    snprintf(path, sizeof(path), "%s/%s/" LB_MAP_VIPS, dp->pin_dir, e->d_name) >= (int)sizeof(path))
			continue;
		fd = bpf_obj_get(path);
		if (fd < 0)
			continue;
		lb_pins_add_kin(dp, fd);
		close(fd);
	}
	if (d)
		closedir(d);
}

/* A bpffs takes no regular files, but a directory can be locked as well. */
static int lock_dir(struct lb_dataplane *dp, struct lb_err *err)
{
	int fd = open(dp->pin_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC), ret;

	if (fd < 0) {
		ret = -errno;
		return lb_err_set(err, ret, NULL, "cannot open the pin directory %s: %s", dp->pin_dir, strerror(-ret));
	}
	if (flock(fd, LOCK_EX | LOCK_NB)) {
		ret = errno == EWOULDBLOCK ? -EBUSY : -errno;
		close(fd);
		return lb_err_set(err, ret, NULL,
				  "another lbd uses the pin directory %s; stop it, or take another --pin-dir",
				  dp->pin_dir);
	}
	if (dp->lock_fd >= 0)
		close(dp->lock_fd);
	dp->lock_fd = fd;
	return 0;
}

/* Is @dp->pin_dir the directory that was locked? */
static bool is_locked(const struct lb_dataplane *dp)
{
	struct stat there, locked;

	return dp->lock_fd >= 0 && !stat(dp->pin_dir, &there) && !fstat(dp->lock_fd, &locked) &&
	       there.st_dev == locked.st_dev && there.st_ino == locked.st_ino;
}

static int open_dirs(struct lb_dataplane *dp, struct lb_err *err)
{
	int ret = ensure_bpffs(dp->pin_dir, err);

	if (ret)
		return ret;
	ret = make_dirs(dp->version_dir);
	if (ret)
		return lb_err_set(err, ret, NULL, "cannot make the pin directory %s: %s", dp->version_dir,
				  strerror(-ret));
	return is_locked(dp) ? 0 : lock_dir(dp, err);
}

int lb_pins_open(struct lb_dataplane *dp, struct lb_err *err)
{
	int ret = open_dirs(dp, err);

	if (!ret)
		find_kin(dp);
	return ret;
}

static int pin_path(const struct lb_dataplane *dp, const struct bpf_map *map, char path[PATH_MAX])
{
	return snprintf(path, PATH_MAX, "%s/%s", dp->version_dir, lb_program_map_name(map)) < PATH_MAX ? 0
												       : -ENAMETOOLONG;
}

static int check_shape(struct bpf_map *map, int fd, const char *path, struct lb_err *err)
{
	struct bpf_map_info info = {0};
	__u32 len = sizeof(info);

	if (bpf_obj_get_info_by_fd(fd, &info, &len))
		return lb_err_set(err, -errno, NULL, "cannot read what %s is: %s", path, strerror(errno));
	/* The kernel adds a flag of its own to device maps, so flags are compared only where they matter: mmap. */
	/* Their sizes follow the configuration. */
	if (!strcmp(bpf_map__name(map), LB_MAP_CONNS) || !strcmp(bpf_map__name(map), LB_MAP_NAT_LINES))
		bpf_map__set_max_entries(map, info.max_entries);
	if (info.type == bpf_map__type(map) && info.key_size == bpf_map__key_size(map) &&
	    info.value_size == bpf_map__value_size(map) && info.max_entries == bpf_map__max_entries(map) &&
	    (info.map_flags & BPF_F_MMAPABLE) == (bpf_map__map_flags(map) & BPF_F_MMAPABLE))
		return 0;
	return lb_err_set(err, -EINVAL, NULL,
			  "pinned map %s was made by another build (%u entries of %u bytes, this one needs %u of %u); "
			  "to start afresh: detach, and remove that directory",
			  path, info.max_entries, info.value_size, bpf_map__max_entries(map), bpf_map__value_size(map));
}

/* Opens the pinned maps into @fds, one for each map; -1 where there is none. */
static int open_pins(struct lb_dataplane *dp, int *fds, size_t max, size_t *nr, size_t *found, struct lb_err *err)
{
	struct bpf_map *map;
	char path[PATH_MAX];
	int ret;

	*nr = *found = 0;
	bpf_object__for_each_map (map, dp->skel->obj) {
		/* .rodata and the like belong to one loaded program and are not pinned. */
		if (!lb_program_shares(map))
			continue;
		if (*nr == max)
			return lb_err_set(err, -E2BIG, NULL, "more maps than this lbd can pin");
		ret = pin_path(dp, map, path);
		if (ret)
			return lb_err_set(err, ret, NULL, "the pin directory's name is too long");
		fds[*nr] = bpf_obj_get(path);
		if (fds[*nr] < 0 && errno != ENOENT)
			return lb_err_set(err, -errno, NULL, "cannot open the pinned map %s: %s", path,
					  strerror(errno));
		if (fds[(*nr)++] < 0)
			continue;
		(*found)++;
		ret = check_shape(map, fds[*nr - 1], path, err);
		if (ret)
			return ret;
	}
	return 0;
}

static void close_all(int *fds, size_t max)
{
	for (size_t i = 0; i < max; i++) {
		if (fds[i] >= 0)
			close(fds[i]);
		fds[i] = -1;
	}
}

/* Puts the map @id where open_pins puts the one of its name, if it is one of those. */
static int take_map(struct lb_dataplane *dp, uint32_t id, int *fds)
{
	int fd = bpf_map_get_fd_by_id(id), ret = 0;
	struct bpf_map_info info = {0};
	__u32 len = sizeof(info);
	struct lb_err unsaid = {0};
	struct bpf_map *map;
	size_t i = 0;

	if (fd < 0 || bpf_obj_get_info_by_fd(fd, &info, &len))
		ret = -errno;
	bpf_object__for_each_map (map, dp->skel->obj) {
		if (ret || !lb_program_shares(map))
			continue;
		if (!strncmp(bpf_map__name(map), info.name, sizeof(info.name) - 1)) {
			/* while connections move there are two of theirs */
			ret = fds[i] >= 0 ? -EEXIST : check_shape(map, fd, info.name, &unsaid);
			if (ret)
				break;
			fds[i] = fd;
			return 0;
		}
		i++;
	}
	if (fd >= 0)
		close(fd);
	return ret;
}

/* Pins may be removed, or the file system with them, while the program goes on on an interface: its maps are those that
 * packets meet. Returns whether they are all in @fds now. */
static bool find_attached(struct lb_dataplane *dp, int *fds, size_t nr)
{
	const struct lb_identity *identity = &dp->skel->rodata->lb_identity;
	uint32_t ids[LB_XDP_MAPS];
	int found = lb_xdp_maps(LB_PROGRAM_NAME, identity, sizeof(*identity), ids);
	bool all = found > 0;

	for (int i = 0; i < found && all; i++)
		all = !take_map(dp, ids[i], fds);
	for (size_t i = 0; i < nr; i++)
		all &= fds[i] >= 0;
	return all;
}

static void unlink_pins(struct lb_dataplane *dp)
{
	struct bpf_map *map;
	char path[PATH_MAX];

	bpf_object__for_each_map (map, dp->skel->obj) {
		if (lb_program_shares(map) && !pin_path(dp, map, path))
			unlink(path);
	}
}

int lb_pins_adopt(struct lb_dataplane *dp, bool *adopted, struct lb_err *err)
{
	size_t nr = 0, found = 0, i = 0;
	struct bpf_map *map;
	int fds[32], ret;

	for (size_t k = 0; k < 32; k++)
		fds[k] = -1;
	ret = open_pins(dp, fds, 32, &nr, &found, err);
	if (ret)
		goto out;
	*adopted = found == nr;
	if (!*adopted) {
		close_all(fds, 32);
		*adopted = find_attached(dp, fds, nr);
	}
	/* A first start that was cut short leaves some of them: nothing can be in use that is worth keeping. */
	if (found && !*adopted)
		unlink_pins(dp);
	bpf_object__for_each_map (map, dp->skel->obj) {
		if (!lb_program_shares(map))
			continue;
		/* libbpf 1.1 would compare flags, which never match for a device map: the maps are pinned by hand. */
		ret = bpf_map__set_pin_path(map, NULL);
		if (!ret && *adopted)
			ret = bpf_map__reuse_fd(map, fds[i]);
		i++;
		if (ret) {
			lb_err_set(err, ret, NULL, "cannot use the pinned map %s: %s", bpf_map__name(map),
				   strerror(-ret));
			goto out;
		}
	}
out:
	close_all(fds, 32);
	return ret;
}

int lb_pins_create(struct lb_dataplane *dp, struct lb_err *err)
{
	struct bpf_map *map;
	char path[PATH_MAX];
	int ret;

	bpf_object__for_each_map (map, dp->skel->obj) {
		if (!lb_program_shares(map))
			continue;
		ret = pin_path(dp, map, path);
		if (!ret && bpf_obj_pin(bpf_map__fd(map), path))
			ret = -errno;
		if (ret) {
			unlink_pins(dp);
			return lb_err_set(err, ret, NULL, "cannot pin the map %s: %s", path, strerror(-ret));
		}
	}
	return 0;
}

int lb_pins_replace(struct lb_dataplane *dp, const char *name, int fd, struct lb_err *err)
{
	char path[PATH_MAX], next[PATH_MAX];

	if (snprintf(path, sizeof(path), "%s/%s", dp->version_dir, name) >= (int)sizeof(path) ||
	    snprintf(next, sizeof(next), "%s/next_%s", dp->version_dir, name) >= (int)sizeof(next))
		return lb_err_set(err, -ENAMETOOLONG, NULL, "the pin directory's name is too long");
	unlink(next);
	if (bpf_obj_pin(fd, next) || rename(next, path))
		return lb_err_set(err, -errno, NULL, "cannot pin the map %s: %s", path, strerror(errno));
	return 0;
}

/* Is the map @fd what is pinned at @path? */
static bool is_pinned(const char *path, int fd)
{
	struct bpf_map_info here = {0}, there = {0};
	__u32 len = sizeof(here), there_len = sizeof(there);
	int pin = bpf_obj_get(path);
	bool same;

	if (pin < 0)
		return false;
	same = !bpf_obj_get_info_by_fd(fd, &here, &len) && !bpf_obj_get_info_by_fd(pin, &there, &there_len) &&
	       here.id == there.id;
	close(pin);
	return same;
}

int lb_dataplane_mend_pins(struct lb_dataplane *dp, lb_mend_fn told, void *ctx, struct lb_err *err)
{
	char path[PATH_MAX], what[128];
	struct bpf_map *map;
	int ret = 0;

	bpf_object__for_each_map (map, dp->skel->obj) {
		if (!lb_program_shares(map) || pin_path(dp, map, path) || is_pinned(path, bpf_map__fd(map)))
			continue;
		ret = open_dirs(dp, err);
		if (!ret)
			ret = lb_pins_replace(dp, lb_program_map_name(map), bpf_map__fd(map), err);
		if (ret)
			break;
		snprintf(what, sizeof(what), "the pin of %s", lb_program_map_name(map));
		told(ctx, what);
	}
	return ret;
}

/* The maps in a folder, which are all that lbd ever puts there. The kernel lets go of them when no program has them. */
static void remove_maps(const char *folder)
{
	DIR *d = opendir(folder);
	struct dirent *e;

	while (d && (e = readdir(d))) {
		char path[PATH_MAX];

		if (strncmp(e->d_name, "lb_", 3) && strncmp(e->d_name, "next_lb_", 8))
			continue;
		if (snprintf(path, sizeof(path), "%s/%s", folder, e->d_name) < (int)sizeof(path))
			unlink(path);
	}
	if (d)
		closedir(d);
}

void lb_dataplane_forget_versions(struct lb_dataplane *dp, lb_mend_fn told, void *ctx)
{
	DIR *d = opendir(dp->pin_dir);
	struct dirent *e;

	while (d && (e = readdir(d))) {
		char path[PATH_MAX];
		size_t digits = strspn(e->d_name + 1, "0123456789");

		if (e->d_name[0] != 'v' || !digits || e->d_name[1 + digits] ||
		    snprintf(path, sizeof(path), "%s/%s", dp->pin_dir, e->d_name) >= (int)sizeof(path) ||
		    !strcmp(path, dp->version_dir))
			continue;
		remove_maps(path);
		if (!rmdir(path))
			told(ctx, path);
	}
	if (d)
		closedir(d);
}

int lb_pins_remove(struct lb_dataplane *dp, struct lb_err *err)
{
	unlink_pins(dp);
	if (rmdir(dp->version_dir))
		return lb_err_set(err, -errno, NULL, "cannot remove the pin directory %s: %s", dp->version_dir,
				  strerror(errno));
	/* Another ABI version may still be in there, or the user's own. */
	rmdir(dp->pin_dir);
	return 0;
}
