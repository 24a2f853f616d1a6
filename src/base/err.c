/* The table of errors, made from err.def, and what errno(3) says in its terms. */
#include "base/err.h"

#include <errno.h>
#include <pthread.h>
#include <stddef.h>

/* Marks text for xgettext; whoever prints it has it translated. */
#define N_(s) s

struct row {
	char name[16];
	int exit_code;
	const char *text;
};

static struct row rows[ERR_INDEX_COUNT] = {
	{"none", 0, N_("no error")},
#define ERR(name, exit_code, text) {#name, exit_code, text},
#include "base/err.def"
#undef ERR
};

static const struct row unknown = {"unknown", 9, N_("unknown error")};

/* The preprocessor cannot write in small letters; done once, before any name is handed out. */
static void lower_names(void)
{
	for (size_t i = 0; i < ERR_INDEX_COUNT; i++) {
		for (char *c = rows[i].name; *c; c++) {
			if (*c >= 'A' && *c <= 'Z')
				*c |= 0x20;
		}
	}
}

static const struct row *row_of(int err)
{
	return err <= 0 && err > -ERR_INDEX_COUNT ? &rows[-err] : &unknown;
}

const char *err_text(int err)
{
	return row_of(err)->text;
}

const char *err_name(int err)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	pthread_once(&once, lower_names);
	return row_of(err)->name;
}

int err_exit(int err)
{
	return row_of(err)->exit_code;
}

/* EACCES and EPERM are permission here; for connect(2) they can also be a firewall's or a route's
 * refusal, which only the caller knows. */
int err_from_errno(int errnum)
{
	static const struct {
		int errnum, err;
	} meanings[] = {
		{ECONNREFUSED, ERR_REFUSED},
		{ETIMEDOUT, ERR_TIMEOUT},
		{EHOSTUNREACH, ERR_UNREACHABLE},
		{ENETUNREACH, ERR_UNREACHABLE},
		{EHOSTDOWN, ERR_UNREACHABLE},
		{ENETDOWN, ERR_UNREACHABLE},
		{ENONET, ERR_UNREACHABLE},
		{EAFNOSUPPORT, ERR_NO_FAMILY},
		{ECONNRESET, ERR_RESET},
		{ECONNABORTED, ERR_RESET},
		{EPIPE, ERR_RESET},
		{EPROTO, ERR_PROTOCOL},
		{EMSGSIZE, ERR_TOO_LONG},
		{EACCES, ERR_PERMISSION},
		{EPERM, ERR_PERMISSION},
		{EADDRINUSE, ERR_IN_USE},
		{EADDRNOTAVAIL, ERR_NOT_LOCAL},
		{EMFILE, ERR_DESCRIPTORS},
		{ENFILE, ERR_DESCRIPTORS},
		{ENOMEM, ERR_MEMORY},
		{ENOBUFS, ERR_MEMORY},
		{ENOSPC, ERR_DISK},
		{EDQUOT, ERR_DISK},
		{EFBIG, ERR_DISK},
		{EROFS, ERR_DISK},
		{EIO, ERR_DISK},
		{ENOENT, ERR_NO_FILE},
		{ENOTDIR, ERR_NO_FILE},
		{EISDIR, ERR_DIRECTORY},
	};

	for (size_t i = 0; i < sizeof(meanings) / sizeof(meanings[0]); i++) {
		if (meanings[i].errnum == errnum)
			return meanings[i].err;
	}
	return ERR_SYSTEM;
}

int err_from_peer(int errnum)
{
	return errnum == EACCES || errnum == EPERM ? ERR_PROHIBITED : err_from_errno(errnum);
}
