/* A link stays a link and a device a device: what they stand for is written to. */
#include "command/whole.h"

#include "base/err.h"
#include "base/text.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

int whole_find(char *path, const char *file, bool *in_place)
{
	struct text t = text_over(path, WHOLE_PATH_BYTES);
	char *real = NULL;
	struct stat st;

	*in_place = false;
	if (stat(file, &st) == 0) {
		*in_place = !S_ISREG(st.st_mode);
		if (!*in_place && lstat(file, &st) == 0 && S_ISLNK(st.st_mode))
			real = realpath(file, NULL);
	}
	text_put_string(&t, real != NULL ? real : file);
	free(real);
	return t.cut ? ERR_TOO_LONG : 0;
}

/* No more rights than the file has that it takes the place of. */
static mode_t mode_of(const char *path)
{
	struct stat st;

	return stat(path, &st) == 0 ? st.st_mode & 0600 : 0666;
}

/* The same owner and rights, as far as that is ours to give. */
static void keep_owner(const char *path, int fd)
{
	struct stat st, part;

	if (stat(path, &st) != 0 || fstat(fd, &part) != 0)
		return;
	if ((st.st_uid != part.st_uid || st.st_gid != part.st_gid) &&
	    fchown(fd, st.st_uid, st.st_gid) != 0)
		st.st_mode &= 0700; /* the group would be another */
	fchmod(fd, st.st_mode & 0777);
}

int whole_open(const char *path, const char *part, int flags)
{
	int fd = open(part, O_WRONLY | O_CREAT | O_CLOEXEC | flags, mode_of(path));

	if (fd < 0)
		return err_from_errno(errno);
	keep_owner(path, fd);
	return fd;
}
