/* Who may ask the API (docs/protocols/api.md): whoever comes from beyond this machine has shown the
 * token. (That Host and Origin are ours the machine has seen to.) Any thread. */
#ifndef DAEMON_GUARD_H
#define DAEMON_GUARD_H

#include "service/api.h"

#include "base/moment.h"

enum {
	GUARD_SESSIONS = 64,
	GUARD_SESSION_BYTES = 32,       /* hexadecimal digits of a cookie */
	GUARD_SESSION_S = 12 * 60 * 60, /* without use */
	GUARD_TOKEN_LEAST = 16,
	GUARD_TOKEN_MOST = 256,
	GUARD_SOURCES = 64,
	GUARD_TRIES = 5, /* at once from one source; then one every GUARD_TRY_S */
	GUARD_TRY_S = 5,
};

struct guard;

enum guard_verdict {
	GUARD_IN,
	GUARD_LOGIN,    /* a token, or a session, is needed */
	GUARD_TOO_MANY, /* tries */
};

/* Why somebody was let in, for who stays: a stream. */
struct guard_pass {
	bool near;
	uint64_t reign; /* of the token then */
	char session[GUARD_SESSION_BYTES + 1];
};

/* The token is read from `token` in `config_dir` at each check; what is there now is kept open, for
 * a daemon that may not open it later. 0 or ERR_MEMORY. */
int guard_create(struct guard **guard, const char *config_dir);
void guard_destroy(struct guard *guard);

/* Whether this one may see what is not for everybody: GUARD_IN, GUARD_LOGIN, GUARD_TOO_MANY. From
 * this machine, directly: always, unless the request says `login_always`. Else by the cookie of a
 * session or by `Authorization: Bearer`. Fills in `pass`. */
enum guard_verdict guard_check(struct guard *guard, const struct api_request *request,
			       const struct moment *now, struct guard_pass *pass);

/* Whether who was let in by `pass` still may: the token is the same, the session not over. Counts
 * as a use of the session. */
bool guard_holds(struct guard *guard, const struct guard_pass *pass, const struct moment *now);

/* Why the token cannot be read, once: ERR_PERMISSION, ERR_KEY_MODE (others can read it), or 0; and
 * where it is. */
int guard_trouble(struct guard *guard, const char **path);

/* A login: the body is the token. GUARD_IN, with the new session's cookie value in `session`;
 * GUARD_LOGIN when it is wrong; GUARD_TOO_MANY. `random` is 128 fresh bits. */
enum guard_verdict guard_login(struct guard *guard, const struct api_request *request,
			       const struct moment *now, const uint64_t random[2],
			       char session[GUARD_SESSION_BYTES + 1]);

/* Ends the session of the request's cookie, if it has one. */
void guard_logout(struct guard *guard, const struct api_request *request);

#endif
