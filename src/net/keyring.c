/* Keys on disk. What is made is made whole under a name of its own and then gets its place, so that
 * nobody ever reads half of it. Source: open(2), link(2), rename(2), flock(2), getrandom(2). */
#include "net/keyring.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

int keyring_path(struct text *path, const char *name)
{
	int err = place_config(path);

	if (err)
		return err;
	text_printf(path, "/%s", name);
	return path->cut ? ERR_TOO_LONG : 0;
}

/* The same, in a directory that is there. */
static int keyring_place(struct text *path, const char *name)
{
	int err = place_config(path);

	if (!err)
		err = place_make(path->data);
	if (err)
		return err;
	text_printf(path, "/%s", name);
	return path->cut ? ERR_TOO_LONG : 0;
}

/* Only its owner, who is us or root, may write it, and read it if it is secret. */
static int keyring_check(int fd, bool secret, size_t *len)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return err_from_errno(errno);
	if (!S_ISREG(st.st_mode))
		return ERR_SYSTEM;
	if (st.st_mode & (secret ? 077 : 022) || (st.st_uid != geteuid() && st.st_uid != 0))
		return ERR_KEY_MODE;
	if (st.st_size > KEYRING_FILE_BYTES)
		return ERR_TOO_LONG;
	*len = (size_t)st.st_size;
	return 0;
}

static int keyring_read_all(int fd, char *text, size_t *len)
{
	size_t have = 0;

	while (have < *len) {
		ssize_t n = read(fd, text + have, *len - have);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return err_from_errno(errno);
		if (n == 0)
			break;
		have += (size_t)n;
	}
	*len = have;
	return 0;
}

int keyring_read(const char *path, bool secret, char **text, size_t *len)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	char *whole = NULL;
	int err;

	*len = 0;
	if (fd < 0)
		return err_from_errno(errno);
	err = keyring_check(fd, secret, len);
	if (!err) {
		whole = malloc(*len + 1);
		err = whole ? keyring_read_all(fd, whole, len) : ERR_MEMORY;
	}
	close(fd);
	if (err) {
		free(whole);
		return err;
	}
	whole[*len] = '\0';
	*text = whole;
	return 0;
}

static int keyring_write_all(int fd, struct bytes b)
{
	while (b.len) {
		ssize_t n = write(fd, b.data, b.len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return err_from_errno(errno);
		b = bytes_after(b, (size_t)n);
	}
	return 0;
}

/* Makes a file of mode 0600. Where there is one already it is replaced, or else (`keep`) stays. */
static int keyring_make_file(const char *path, struct bytes b, bool keep)
{
	char made[PLACE_BYTES + 32];
	int fd, err;

	snprintf(made, sizeof made, "%s.%d", path, (int)getpid());
	unlink(made);
	fd = open(made, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0)
		return err_from_errno(errno);
	err = keyring_write_all(fd, b);
	if (!err && fsync(fd) < 0)
		err = err_from_errno(errno);
	close(fd);
	if (!err && keep && link(made, path) < 0 && errno != EEXIST)
		err = err_from_errno(errno);
	if (!err && !keep && rename(made, path) < 0)
		err = err_from_errno(errno);
	if (err || keep)
		unlink(made);
	return err;
}

static int keyring_make_key(const char *path)
{
	struct tls_key *key;
	char pem[TLS_PEM_BYTES];
	size_t len = 0;
	int err = tls_key_make(&key);

	if (err)
		return err;
	err = tls_key_write(key, pem, &len);
	tls_key_free(key);
	if (!err)
		err = keyring_make_file(path, bytes_of(pem, len), true);
	explicit_bzero(pem, sizeof pem);
	return err;
}

int keyring_key(struct tls_key **key, bool make)
{
	char path[PLACE_BYTES], *pem;
	struct text t = TEXT_OVER(path);
	size_t len = 0;
	int err = make ? keyring_place(&t, "key.pem") : keyring_path(&t, "key.pem");

	if (err)
		return err;
	err = keyring_read(path, true, &pem, &len);
	if (err == ERR_NO_FILE && make) {
		err = keyring_make_key(path);
		if (!err)
			err = keyring_read(path, true, &pem, &len);
	}
	if (err)
		return err;
	err = tls_key_parse(bytes_of(pem, len), key);
	explicit_bzero(pem, len);
	free(pem);
	return err;
}

int keyring_known(const char *where, const struct key_digest *key, struct keys_found *found)
{
	char path[PLACE_BYTES], *file;
	struct text t = TEXT_OVER(path);
	size_t len = 0;
	int err = keyring_path(&t, "known_hosts");

	*found = (struct keys_found){.known = KEYS_NEW};
	if (!err)
		err = keyring_read(path, false, &file, &len);
	if (err == ERR_NO_FILE)
		return 0;
	if (err)
		return err;
	*found = keys_find_host(bytes_of(file, len), bytes_of_string(where), key);
	free(file);
	return 0;
}

/* Behind the last line, which an editor may have left without its end. */
static int keyring_add_line(int fd, struct text *line)
{
	char last = '\n';
	size_t len = 0;
	int err = keyring_check(fd, false, &len);

	if (err)
		return err;
	if (flock(fd, LOCK_EX) < 0)
		return err_from_errno(errno);
	if (len && pread(fd, &last, 1, (off_t)len - 1) == 1 && last != '\n')
		err = keyring_write_all(fd, BYTES_LITERAL("\n"));
	return err ? err : keyring_write_all(fd, text_bytes(line));
}

int keyring_remember(const char *where, const struct key_digest *key)
{
	char path[PLACE_BYTES], text[512];
	struct text t = TEXT_OVER(path), line = TEXT_OVER(text);
	int fd, err = keyring_place(&t, "known_hosts");

	if (err)
		return err;
	text_printf(&line, "%s ", where);
	keys_put_fingerprint(&line, key);
	text_put_byte(&line, '\n');
	if (line.cut)
		return ERR_TOO_LONG;
	fd = open(path, O_RDWR | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
	if (fd < 0)
		return err_from_errno(errno);
	err = keyring_add_line(fd, &line);
	close(fd);
	return err;
}

int keyring_token_make(char token[static KEYRING_TOKEN_BYTES])
{
	uint8_t random[(KEYRING_TOKEN_BYTES - 1) / 2];
	char path[PLACE_BYTES];
	struct text t = TEXT_OVER(path), said = text_over(token, KEYRING_TOKEN_BYTES);
	int err = keyring_place(&t, "token");

	if (err)
		return err;
	if (getrandom(random, sizeof random, 0) != (ssize_t)sizeof random)
		return ERR_SYSTEM;
	for (unsigned i = 0; i < sizeof random; i++)
		text_printf(&said, "%02x", random[i]);
	return keyring_make_file(path, text_bytes(&said), false);
}
