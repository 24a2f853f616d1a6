/* The errors of the program, one negative enum (err.def), each with a text and an exit code. */
#ifndef BASE_ERR_H
#define BASE_ERR_H

enum err_index {
	ERR_INDEX_NONE,
#define ERR(name, exit_code, text) ERR_INDEX_##name,
#include "base/err.def"
#undef ERR
	ERR_INDEX_COUNT
};

enum err {
	ERR_NONE = 0,
#define ERR(name, exit_code, text) ERR_##name = -ERR_INDEX_##name,
#include "base/err.def"
#undef ERR
};

/* The English text of `err`, to be passed through gettext; never NULL. */
const char *err_text(int err);

/* A short stable name such as "refused", for JSON; never NULL. */
const char *err_name(int err);

/* The exit code for `err`; 0 for ERR_NONE. */
int err_exit(int err);

/* The ERR_ that says what a system call meant by `errnum`; ERR_SYSTEM when none says more. */
int err_from_errno(int errnum);

/* The same of a socket that is connected over IP: what is not permitted there a firewall or a
 * router forbids (ERR_PROHIBITED). */
int err_from_peer(int errnum);

#endif
