/* Landlock by system call, since Debian 12's C library has no wrappers and its headers are older
 * than many kernels: rights that a kernel does not know are left out, as its version says.
 *
 * Source: landlock(7), landlock_create_ruleset(2), setgroups(2). */
#include "daemon/sandbox.h"

#include "base/err.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <libgen.h>
#include <limits.h>
#include <linux/landlock.h>
#include <pwd.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define SANDBOX_READ (LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR)
#define SANDBOX_OF_FILES \
	(LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_EXECUTE)
#define SANDBOX_SOCKETS (LANDLOCK_ACCESS_FS_MAKE_SOCK | LANDLOCK_ACCESS_FS_REMOVE_FILE)
#define SANDBOX_WRITE                                                     \
	(SANDBOX_READ | SANDBOX_SOCKETS | LANDLOCK_ACCESS_FS_WRITE_FILE | \
	 LANDLOCK_ACCESS_FS_MAKE_REG | LANDLOCK_ACCESS_FS_MAKE_DIR |      \
	 LANDLOCK_ACCESS_FS_REMOVE_DIR)
#define SANDBOX_ALL                                                                  \
	(SANDBOX_WRITE | LANDLOCK_ACCESS_FS_EXECUTE | LANDLOCK_ACCESS_FS_MAKE_CHAR | \
	 LANDLOCK_ACCESS_FS_MAKE_FIFO | LANDLOCK_ACCESS_FS_MAKE_BLOCK |              \
	 LANDLOCK_ACCESS_FS_MAKE_SYM)

/* The directory and the plain files in it, which are of a run as somebody else. A file with other
 * names may be anybody's. */
static int sandbox_give(const char *directory, const struct passwd *to)
{
	DIR *dir = opendir(directory);
	const struct dirent *entry;
	int result = dir ? fchown(dirfd(dir), to->pw_uid, to->pw_gid) : -1;

	while (result == 0 && (entry = readdir(dir)) != NULL) {
		int fd = openat(dirfd(dir), entry->d_name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
		struct stat st;

		if (fd >= 0 && fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_nlink == 1)
			result = fchownat(fd, "", to->pw_uid, to->pw_gid, AT_EMPTY_PATH);
		if (fd >= 0)
			close(fd);
	}
	if (dir)
		closedir(dir);
	return result;
}

int sandbox_become(const char *user, const char *state_dir)
{
	struct passwd *entry = getpwnam(user);

	if (!entry)
		return ERR_NO_NAME;
	if (state_dir && geteuid() == 0 && sandbox_give(state_dir, entry) < 0)
		return err_from_errno(errno);
	if (initgroups(user, entry->pw_gid) < 0 || setgid(entry->pw_gid) < 0 ||
	    setuid(entry->pw_uid) < 0)
		return err_from_errno(errno);
	/* Root that can come back was never dropped. */
	return entry->pw_uid != 0 && setuid(0) == 0 ? ERR_PERMISSION : 0;
}

/* Allows `access` beneath `path`; what does not exist needs no rule. */
static int sandbox_allow(int ruleset_fd, const char *path, uint64_t access)
{
	struct landlock_path_beneath_attr rule = {.allowed_access = access};
	struct stat st;
	long result;

	rule.parent_fd = open(path, O_PATH | O_CLOEXEC);
	if (rule.parent_fd < 0)
		return errno == ENOENT ? 0 : err_from_errno(errno);
	/* A rule for a file may not speak of what only directories have. */
	if (fstat(rule.parent_fd, &st) == 0 && !S_ISDIR(st.st_mode))
		rule.allowed_access &= SANDBOX_OF_FILES;
	result = syscall(SYS_landlock_add_rule, ruleset_fd, LANDLOCK_RULE_PATH_BENEATH, &rule, 0);
	close(rule.parent_fd);
	return result < 0 ? err_from_errno(errno) : 0;
}

/* The same beneath the directory that `path` stands in. */
static int sandbox_allow_beside(int ruleset_fd, const char *path, uint64_t access)
{
	char directory[PATH_MAX];

	snprintf(directory, sizeof directory, "%s", path);
	return sandbox_allow(ruleset_fd, dirname(directory), access);
}

static int sandbox_allow_all(int ruleset_fd, const char *state_dir, const char *configuration,
			     const char *const *sockets, const char **refused)
{
	/* What the C library reads on its own: names, time zones, charsets; and /proc and /dev. */
	static const char *const readable[] = {"/etc",  "/usr/lib", "/usr/share",
					       "/lib",  "/lib64",   "/run/systemd/resolve",
					       "/proc", "/dev",     NULL};
	int err = 0;

	if (state_dir)
		err = sandbox_allow(ruleset_fd, *refused = state_dir, SANDBOX_WRITE);
	for (unsigned i = 0; readable[i] && !err; i++)
		err = sandbox_allow(ruleset_fd, *refused = readable[i], SANDBOX_READ);
	/* An editor replaces a file, so that the right must be on its directory. */
	if (configuration && !err)
		err = sandbox_allow_beside(ruleset_fd, *refused = configuration, SANDBOX_READ);
	for (unsigned i = 0; sockets[i] && !err; i++)
		err = sandbox_allow_beside(ruleset_fd, *refused = sockets[i], SANDBOX_SOCKETS);
	if (!err)
		*refused = NULL;
	return err;
}

/* What the services themselves read and write. A file that is written may be made anew beside
 * itself. */
static int sandbox_allow_paths(int ruleset_fd, const struct service_path *paths, unsigned count,
			       const char **refused)
{
	int err = 0;

	for (unsigned i = 0; i < count && !err; i++) {
		uint64_t access = paths[i].writes ? SANDBOX_WRITE : SANDBOX_READ;

		err = paths[i].beside ? sandbox_allow_beside(ruleset_fd, paths[i].path, access)
				      : sandbox_allow(ruleset_fd, paths[i].path, access);
		if (err)
			*refused = paths[i].path;
	}
	return err;
}

int sandbox_prepare(const char *state_dir, const char *configuration, const char *const *sockets,
		    const struct service_path *paths, unsigned path_count, const char **refused)
{
	struct landlock_ruleset_attr attr = {.handled_access_fs = SANDBOX_ALL};
	int fd = (int)syscall(SYS_landlock_create_ruleset, &attr, sizeof attr, 0);
	int err;

	*refused = NULL;
	if (fd < 0)
		return ERR_SYSTEM;
	err = sandbox_allow_all(fd, state_dir, configuration, sockets, refused);
	if (!err)
		err = sandbox_allow_paths(fd, paths, path_count, refused);
	if (!err)
		return fd;
	close(fd);
	return err;
}

int sandbox_enter(int ruleset_fd)
{
	int err = 0;

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ||
	    syscall(SYS_landlock_restrict_self, ruleset_fd, 0) < 0)
		err = ERR_SYSTEM;
	close(ruleset_fd);
	return err;
}
