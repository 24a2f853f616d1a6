/* The guard of the API.
 *
 * A request that came through a proxy (it says for whom) counts as from beyond, though the proxy
 * stands on this machine. Limits: 64 sessions, of which the one unused for longest makes room; 5
 * wrong tokens at once from one source, then one in 5 s. The right one is always let in: behind a
 * proxy all are one source, and nobody guesses 128 bits.
 *
 * Sessions are of the token that made them: once the file says another, they are over. A daemon
 * that has dropped root may no longer open what is root's alone; then the file that was there at
 * its start counts, which is still open, for as long as it has its name.
 *
 * Sources: RFC 6265 (cookies), RFC 6750 (Bearer). */
#include "daemon/guard.h"

#include "base/err.h"
#include "base/text.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum { GUARD_PATH_BYTES = 4096 + 16 };

struct guard_session {
	char value[GUARD_SESSION_BYTES + 1]; /* empty: free */
	uint64_t used_ns;
};

/* Tries of one source, as a bucket: when it will be full again. */
struct guard_source {
	struct address address;
	uint64_t full_ns;
};

struct guard {
	char token_path[GUARD_PATH_BYTES];
	int kept_fd; /* the token of the start, or -1 */
	pthread_mutex_t lock;
	uint8_t token[GUARD_TOKEN_MOST]; /* as it was last read */
	size_t token_len;
	uint64_t reign; /* grows with each other token */
	int trouble;    /* ERR_ that keeps it from being read, or 0 */
	bool trouble_told;
	struct guard_session session[GUARD_SESSIONS];
	struct guard_source source[GUARD_SOURCES];
};

static int guard_open_token(const struct guard *g)
{
	return g->token_path[0] ? open(g->token_path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW) : -1;
}

int guard_create(struct guard **created, const char *config_dir)
{
	struct guard *g = calloc(1, sizeof *g);

	if (!g)
		return ERR_MEMORY;
	pthread_mutex_init(&g->lock, NULL);
	if (config_dir[0])
		snprintf(g->token_path, sizeof g->token_path, "%s/token", config_dir);
	g->kept_fd = guard_open_token(g);
	*created = g;
	return 0;
}

void guard_destroy(struct guard *g)
{
	if (!g)
		return;
	if (g->kept_fd >= 0)
		close(g->kept_fd);
	pthread_mutex_destroy(&g->lock);
	free(g);
}

static struct bytes guard_field(const struct api_request *request, const char *name)
{
	const struct http1_field *field = http1_find(request->head, name);

	return field ? field->value : (struct bytes){0};
}

/* Tokens. */

/* Differences take as long as none: neither the length nor the place of one shows in the time. */
static bool guard_same_secret(struct bytes shown, struct bytes secret)
{
	size_t i;
	volatile uint8_t different = shown.len != secret.len;

	for (i = 0; i < GUARD_TOKEN_MOST; i++) {
		uint8_t a = i < shown.len ? shown.data[i] : 0;
		uint8_t b = i < secret.len ? secret.data[i] : 0;

		different = (uint8_t)(different | (a ^ b));
	}
	return !different;
}

/* The token in the file `fd`, without white space at its ends; its length, 0 when there is none
 * that may be used: others must not be able to read it. */
static size_t guard_read_token(struct guard *g, int fd, uint8_t token[GUARD_TOKEN_MOST])
{
	struct stat st;
	struct bytes b;
	ssize_t n;

	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || st.st_nlink == 0)
		return 0;
	if (st.st_mode & 077) {
		g->trouble = ERR_KEY_MODE;
		return 0;
	}
	n = pread(fd, token, GUARD_TOKEN_MOST, 0);
	if (n <= 0)
		return 0;
	b = bytes_strip(bytes_of(token, (size_t)n));
	memmove(token, b.data, b.len);
	g->trouble = 0;
	return b.len >= GUARD_TOKEN_LEAST ? b.len : 0;
}

/* Reads the token; another one than before ends all sessions. */
static void guard_look(struct guard *g)
{
	uint8_t token[GUARD_TOKEN_MOST];
	size_t len = 0;
	int fd = guard_open_token(g), why = fd < 0 ? errno : 0;

	g->trouble = why == EACCES ? ERR_PERMISSION : 0;
	if (fd >= 0 || (why == EACCES && g->kept_fd >= 0))
		len = guard_read_token(g, fd >= 0 ? fd : g->kept_fd, token);
	if (fd >= 0)
		close(fd);
	if (len == g->token_len && memcmp(token, g->token, len) == 0)
		return;
	memcpy(g->token, token, len);
	g->token_len = len;
	g->reign++;
	memset(g->session, 0, sizeof g->session);
}

int guard_trouble(struct guard *g, const char **path)
{
	int err = 0;

	pthread_mutex_lock(&g->lock);
	if (!g->trouble_told || !g->trouble)
		err = g->trouble;
	g->trouble_told = g->trouble != 0;
	pthread_mutex_unlock(&g->lock);
	*path = g->token_path;
	return err;
}

static bool guard_same_source(const struct address *a, const struct address *b)
{
	size_t len = a->family == ADDRESS_V6 ? 8 : 4;

	return a->family == b->family && memcmp(a->ip, b->ip, len) == 0;
}

/* One more try of this source; of many sources the one that tried longest ago is forgotten. */
static bool guard_may_try(struct guard *g, const struct address *address, const struct moment *now)
{
	struct guard_source *s = &g->source[0];
	uint64_t now_ns = now->boot_ns, cost_ns = GUARD_TRY_S * MOMENT_S;

	for (unsigned i = 0; i < GUARD_SOURCES; i++) {
		if (g->source[i].full_ns && guard_same_source(&g->source[i].address, address)) {
			s = &g->source[i];
			break;
		}
		if (g->source[i].full_ns < s->full_ns)
			s = &g->source[i];
	}
	if (!guard_same_source(&s->address, address))
		*s = (struct guard_source){.address = *address};
	if (s->full_ns < now_ns)
		s->full_ns = now_ns;
	if (s->full_ns + cost_ns > now_ns + GUARD_TRIES * cost_ns)
		return false;
	s->full_ns += cost_ns;
	return true;
}

/* A token that was shown: right, wrong, or one too many. A right one costs no try. */
static enum guard_verdict guard_try(struct guard *g, struct bytes shown,
				    const struct api_request *request, const struct moment *now)
{
	if (!g->token_len || !guard_same_secret(shown, bytes_of(g->token, g->token_len)))
		return guard_may_try(g, &request->remote, now) ? GUARD_LOGIN : GUARD_TOO_MANY;
	for (unsigned i = 0; i < GUARD_SOURCES; i++)
		if (guard_same_source(&g->source[i].address, &request->remote))
			g->source[i].full_ns = now->boot_ns;
	return GUARD_IN;
}

/* Sessions. */

/* The value of our cookie in a `Cookie` field, which may hold several. */
static struct bytes guard_cookie(const struct api_request *request)
{
	struct bytes rest = guard_field(request, "Cookie"), name = BYTES_LITERAL("prise_session=");

	while (rest.len) {
		size_t end = bytes_find_byte(rest, ';');
		struct bytes one = bytes_strip(bytes_first(rest, end));

		if (bytes_equal(bytes_first(one, name.len), name))
			return bytes_after(one, name.len);
		rest = bytes_after(rest, end < rest.len ? end + 1 : end);
	}
	return rest;
}

static struct guard_session *guard_find(struct guard *g, struct bytes value)
{
	for (unsigned i = 0; value.len && i < GUARD_SESSIONS; i++)
		if (g->session[i].value[0] &&
		    guard_same_secret(value, bytes_of_string(g->session[i].value)))
			return &g->session[i];
	return NULL;
}

static struct guard_session *guard_session_of(struct guard *g, struct bytes value,
					      const struct moment *now)
{
	struct guard_session *s = guard_find(g, value);

	if (s && now->boot_ns - s->used_ns > GUARD_SESSION_S * MOMENT_S) {
		s->value[0] = '\0';
		return NULL;
	}
	if (s)
		s->used_ns = now->boot_ns;
	return s;
}

/* This machine's own, not through a proxy that stands on it. */
static bool guard_is_near(const struct api_request *request)
{
	static const char *const forwarding[] = {"X-Forwarded-For", "Forwarded", "X-Real-IP",
						 "Via"};

	for (unsigned i = 0; i < sizeof forwarding / sizeof forwarding[0]; i++)
		if (http1_find(request->head, forwarding[i]))
			return false;
	return address_is_loopback(&request->remote);
}

enum guard_verdict guard_check(struct guard *g, const struct api_request *request,
			       const struct moment *now, struct guard_pass *pass)
{
	struct bytes shown = guard_field(request, "Authorization");
	struct bytes bearer = BYTES_LITERAL("Bearer ");
	enum guard_verdict verdict = GUARD_LOGIN;
	const struct guard_session *session;

	*pass = (struct guard_pass){.near = guard_is_near(request) && !request->login_always};
	if (pass->near)
		return GUARD_IN;
	pthread_mutex_lock(&g->lock);
	guard_look(g);
	session = guard_session_of(g, guard_cookie(request), now);
	if (session) {
		verdict = GUARD_IN;
		memcpy(pass->session, session->value, sizeof pass->session);
	} else if (bytes_equal_fold(bytes_first(shown, bearer.len), bearer)) {
		verdict = guard_try(g, bytes_strip(bytes_after(shown, bearer.len)), request, now);
	}
	pass->reign = g->reign;
	pthread_mutex_unlock(&g->lock);
	return verdict;
}

bool guard_holds(struct guard *g, const struct guard_pass *pass, const struct moment *now)
{
	bool holds;

	if (pass->near)
		return true;
	pthread_mutex_lock(&g->lock);
	guard_look(g);
	holds = pass->reign == g->reign &&
		(!pass->session[0] ||
		 guard_session_of(g, bytes_of_string(pass->session), now) != NULL);
	pthread_mutex_unlock(&g->lock);
	return holds;
}

static struct guard_session *guard_oldest(struct guard *g)
{
	struct guard_session *oldest = &g->session[0];

	for (unsigned i = 0; i < GUARD_SESSIONS; i++) {
		if (!g->session[i].value[0])
			return &g->session[i];
		if (g->session[i].used_ns < oldest->used_ns)
			oldest = &g->session[i];
	}
	return oldest;
}

enum guard_verdict guard_login(struct guard *g, const struct api_request *request,
			       const struct moment *now, const uint64_t random[2],
			       char session[GUARD_SESSION_BYTES + 1])
{
	enum guard_verdict verdict;

	pthread_mutex_lock(&g->lock);
	guard_look(g);
	verdict = guard_try(g, bytes_strip(request->body), request, now);
	if (verdict == GUARD_IN) {
		struct guard_session *s = guard_oldest(g);

		snprintf(s->value, sizeof s->value, "%016llx%016llx", (unsigned long long)random[0],
			 (unsigned long long)random[1]);
		s->used_ns = now->boot_ns;
		memcpy(session, s->value, sizeof s->value);
	}
	pthread_mutex_unlock(&g->lock);
	return verdict;
}

void guard_logout(struct guard *g, const struct api_request *request)
{
	struct guard_session *s;

	pthread_mutex_lock(&g->lock);
	s = guard_find(g, guard_cookie(request));
	if (s)
		s->value[0] = '\0';
	pthread_mutex_unlock(&g->lock);
}
