/* Names to addresses and back with the system's resolver (getaddrinfo(3), gethostbyaddr_r(3)).
 *
 * One question for both families (AF_UNSPEC, no AI_ADDRCONFIG): which of the answers this machine
 * can reach is found by trying them. `localhost` and what ends in `.localhost` never go to a
 * resolver (RFC 6761 section 6.3), so they work where /etc/hosts lacks them or has one family only.
 *
 * Limits: NAME_MOST addresses a name, NAME_ALIASES names an address, REVERSE_BYTES for their
 * answer. */
#include "net/name.h"

#include "base/err.h"
#include "net/endpoint.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <stdlib.h>
#include <unistd.h>

enum { REVERSE_BYTES = 32768 };

struct name_request {
	struct work_job job;
	struct work *work; /* NULL: the answer needed none */
	struct name_query query;
	struct name_answer answer;
	void (*done)(void *owner, const struct name_answer *answer);
	void *owner;
	bool cancelled; /* the loop's thread alone touches it */
};

/* The C library reports a lack of descriptors as a name that does not exist or as a name server
 * that does not answer: `err` is only believed when there is a descriptor to be had. */
static int believe(int err)
{
	int fd = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 0);

	if (fd < 0 && (errno == EMFILE || errno == ENFILE))
		return ERR_DESCRIPTORS;
	if (fd >= 0)
		close(fd);
	return err;
}

static int err_from_eai(int code, int errnum)
{
	switch (code) {
	case 0:
		return 0;
	case EAI_NONAME:
	case EAI_IDN_ENCODE:
		return believe(ERR_NO_NAME);
	case EAI_NODATA:
	case EAI_ADDRFAMILY:
		return ERR_NO_ADDRESS;
	case EAI_AGAIN:
	case EAI_FAIL:
		return believe(ERR_NAME_SERVER);
	case EAI_MEMORY:
		return ERR_MEMORY;
	case EAI_SYSTEM:
		return err_from_errno(errnum);
	default:
		return ERR_SYSTEM;
	}
}

static bool is_wanted(const struct address *a, enum name_families families)
{
	return families == NAME_BOTH ||
	       a->family == (families == NAME_V4_ONLY ? ADDRESS_V4 : ADDRESS_V6);
}

static bool is_known(const struct name_answer *answer, const struct address *a)
{
	for (unsigned i = 0; i < answer->count; i++)
		if (address_equal(&answer->address[i], a))
			return true;
	return false;
}

static bool has_family(const struct name_answer *answer, uint8_t family)
{
	for (unsigned i = 0; i < answer->count; i++)
		if (answer->address[i].family == family)
			return true;
	return false;
}

/* Takes one more address; when there is no place left, in the last one's if its family would else
 * be missing. */
static void take(const struct name_query *query, struct name_answer *answer, struct address a)
{
	a.port = query->port;
	if (!is_wanted(&a, query->families) || is_known(answer, &a))
		return;
	if (answer->count < NAME_MOST)
		answer->address[answer->count++] = a;
	else if (!has_family(answer, a.family))
		answer->address[NAME_MOST - 1] = a;
}

static void take_canonical(const struct name_query *query, struct name_answer *answer,
			   const char *name)
{
	struct text t = TEXT_OVER(answer->canonical);

	if (query->canonical && name != NULL)
		text_put_string(&t, name);
}

/* Asks the C library; `flags` beside those that are always set. */
static void ask_library(const struct name_query *query, int flags, struct name_answer *answer)
{
	const struct addrinfo hints = {
		.ai_family = AF_UNSPEC,
		.ai_socktype = SOCK_STREAM,
		.ai_flags = flags | AI_IDN | (query->canonical ? AI_CANONNAME : 0),
	};
	struct addrinfo *found = NULL;

	errno = 0;
	answer->err = err_from_eai(getaddrinfo(query->host, NULL, &hints, &found), errno);
	if (answer->err != 0)
		return;
	take_canonical(query, answer, found->ai_canonname);
	for (const struct addrinfo *i = found; i != NULL; i = i->ai_next) {
		struct address a;

		endpoint_from_sockaddr(i->ai_addr, i->ai_addrlen, &a);
		if (a.family == ADDRESS_V4 || a.family == ADDRESS_V6)
			take(query, answer, a);
	}
	freeaddrinfo(found);
}

/* `localhost`, `x.localhost`, either with the root's dot. */
static bool is_localhost(const char *host)
{
	const struct bytes name = BYTES_LITERAL("localhost");
	struct bytes b = bytes_of_string(host);

	if (b.len > 0 && b.data[b.len - 1] == '.')
		b.len--;
	if (b.len < name.len || !bytes_equal_fold(bytes_after(b, b.len - name.len), name))
		return false;
	return b.len == name.len || b.data[b.len - name.len - 1] == '.';
}

static void take_localhost(const struct name_query *query, struct name_answer *answer)
{
	static const struct address v6 = {.family = ADDRESS_V6, .ip = {[15] = 1}};
	static const struct address v4 = {.family = ADDRESS_V4, .ip = {127, 0, 0, 1}};

	take(query, answer, v6);
	take(query, answer, v4);
	take_canonical(query, answer, "localhost");
}

/* Answers what needs no resolver; false when one must be asked. A literal that the C library alone
 * understands (127.1, fe80::1%eth0) is left to it, without its asking a server; what has a colon is
 * never a name. */
static bool answer_at_once(const struct name_query *query, struct name_answer *answer)
{
	struct address literal;

	*answer = (struct name_answer){0};
	if (address_parse_ip(bytes_of_string(query->host), &literal) == 0) {
		take(query, answer, literal);
		take_canonical(query, answer, query->host);
	} else if (is_localhost(query->host)) {
		take_localhost(query, answer);
	} else {
		ask_library(query, AI_NUMERICHOST, answer);
		if (answer->err == ERR_NO_NAME && strchr(query->host, ':') == NULL &&
		    query->host[0] != '\0')
			return false;
	}
	if (answer->err == 0 && answer->count == 0)
		answer->err = ERR_NO_ADDRESS;
	return true;
}

static void answer_slowly(const struct name_query *query, struct name_answer *answer)
{
	*answer = (struct name_answer){0};
	ask_library(query, 0, answer);
	if (answer->err == 0 && answer->count == 0)
		answer->err = ERR_NO_ADDRESS;
}

void name_resolve(const struct name_query *query, struct name_answer *answer)
{
	if (!answer_at_once(query, answer))
		answer_slowly(query, answer);
}

static int err_from_h_errno(int code, int errnum)
{
	switch (code) {
	case TRY_AGAIN:
	case NO_RECOVERY:
		return believe(ERR_NAME_SERVER);
	case NETDB_INTERNAL:
		return errnum == ERANGE ? ERR_MEMORY : err_from_errno(errnum);
	default:
		return believe(ERR_NO_NAME);
	}
}

static void take_name(struct name_list *names, const char *name)
{
	struct text t;

	for (unsigned i = 0; i < names->count; i++)
		if (strcasecmp(names->name[i], name) == 0)
			return;
	if (names->count == NAME_ALIASES)
		return;
	t = TEXT_OVER(names->name[names->count]);
	text_put_string(&t, name);
	names->count++;
}

int name_reverse_all(const struct address *a, struct name_list *names)
{
	char buffer[REVERSE_BYTES];
	struct hostent entry, *found = NULL;
	int code = 0, failed;

	*names = (struct name_list){0};
	if (a->family != ADDRESS_V4 && a->family != ADDRESS_V6)
		return ERR_NO_NAME;
	failed = gethostbyaddr_r(a->ip, a->family == ADDRESS_V4 ? 4 : 16,
				 a->family == ADDRESS_V4 ? AF_INET : AF_INET6, &entry, buffer,
				 sizeof(buffer), &found, &code);
	if (found == NULL)
		return err_from_h_errno(code, failed);
	take_name(names, entry.h_name);
	for (char **alias = entry.h_aliases; *alias != NULL; alias++)
		take_name(names, *alias);
	return 0;
}

int name_reverse(const struct address *a, char *name, size_t cap)
{
	struct text t = text_over(name, cap);
	struct name_list names;
	int err = name_reverse_all(a, &names);

	if (err == 0)
		text_put_string(&t, names.name[0]);
	return err;
}

static void run(struct work_job *job)
{
	struct name_request *request = (struct name_request *)job; /* its first member */

	answer_slowly(&request->query, &request->answer);
}

static void finish(struct work_job *job)
{
	struct name_request *request = (struct name_request *)job;

	if (!request->cancelled)
		request->done(request->owner, &request->answer);
	free(request);
}

static void leave(struct work_job *job)
{
	free(job); /* its first member */
}

/* The mail of an answer that needed no thread. */
static void finish_mail(struct loop_mail *mail, struct loop *loop)
{
	finish((struct work_job *)mail); /* its first member */
}

int name_ask(struct work *work, struct loop *loop, const struct name_query *query,
	     void (*done)(void *owner, const struct name_answer *answer), void *owner,
	     struct name_request **asked)
{
	struct name_request *request = calloc(1, sizeof(*request));
	int err = 0;

	if (request == NULL)
		return ERR_MEMORY;
	request->query = *query;
	request->done = done;
	request->owner = owner;
	request->job = (struct work_job){
		.mail.run = finish_mail, .run = run, .done = finish, .left = leave};
	if (!answer_at_once(query, &request->answer)) {
		request->work = work;
		err = work_submit(work, loop, &request->job);
	} else if (!loop_post(loop, &request->job.mail)) {
		err = ERR_FULL;
	}
	if (err != 0) {
		free(request);
		return err;
	}
	*asked = request;
	return 0;
}

void name_cancel(struct name_request *request)
{
	request->cancelled = true;
	if (request->work != NULL && work_withdraw(request->work, &request->job))
		free(request);
}
