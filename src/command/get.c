/* prise get: HTTP and HTTPS from the command line. */
#include "command/get_parts.h"

#include "base/number.h"
#include "command/say.h"

#include <signal.h>
#include <stdlib.h>
#include <termios.h>
#include <unistd.h>

enum { GET_SILENCE_MS = 120000, GET_URL_SHOWN_BYTES = 256 };

static const struct option options[] = {
	{"output", 'o', OPTION_LIST, N_("FILE"), offsetof(struct get_options, output),
	 .help = N_("write to FILE, which gets its name once it is whole; one for each URL")},
	{"remote-name", 'O', OPTION_FLAG, .offset = offsetof(struct get_options, remote_name),
	 .help = N_("write to files named as the URLs end")},
	{"continue", 'C', OPTION_FLAG, .offset = offsetof(struct get_options, resume),
	 .help = N_("with -o or -O: fetch only what is missing of a file, if it is still the "
		    "same; keep what has come when it stops")},
	{"retry", 0, OPTION_COUNT, N_("N"), offsetof(struct get_options, retries), .most = 1000000,
	 .help = N_("try up to N times more, from where it stopped")},
	{"request", 'X', OPTION_TEXT, N_("METHOD"), offsetof(struct get_options, method),
	 .help = N_("another method than GET (HEAD, PUT, DELETE, ...)")},
	{"header", 'H', OPTION_LIST, N_("FIELD"), offsetof(struct get_options, fields),
	 .help = N_("a field `Name: value` of the request; `Name:` leaves ours out")},
	{"data", 'd', OPTION_LIST, N_("DATA"), offsetof(struct get_options, data),
	 .help = N_("send DATA, as a POST; @FILE the bytes of FILE, @- standard input")},
	{"form", 'F', OPTION_LIST, N_("FIELD"), offsetof(struct get_options, form),
	 .help = N_("send a form's NAME=VALUE, NAME=@FILE or NAME=<FILE, as a POST")},
	{"user", 'u', OPTION_TEXT, N_("NAME:PASS"), offsetof(struct get_options, user),
	 .help = N_("the name and password for the host; without :PASS it is asked for")},
	{"include", 'i', OPTION_FLAG, .offset = offsetof(struct get_options, include),
	 .help = N_("show the heads of the answers too")},
	{"head", 'I', OPTION_FLAG, .offset = offsetof(struct get_options, head),
	 .help = N_("ask for the head only, and show it")},
	{"fail", 'f', OPTION_FLAG, .offset = offsetof(struct get_options, fail),
	 .help = N_("exit 1 on a status of 400 or more, and write nothing of that answer")},
	{"timing", 0, OPTION_FLAG, .offset = offsetof(struct get_options, timing),
	 .help = N_("show on stderr what took how long")},
	{"max-redirs", 0, OPTION_COUNT, N_("N"), offsetof(struct get_options, redirects),
	 .fallback = "10", .most = 64,
	 .help = N_("follow up to N redirects (10 unless told); 0: show them instead")},
	{"max-time", 'm', OPTION_DURATION, N_("DUR"), offsetof(struct get_options, total_ms),
	 .help = N_("give up a URL after DUR in all")},
	{"max-decoded", 0, OPTION_SIZE, N_("SIZE"), offsetof(struct get_options, decoded_bytes),
	 .fallback = "64M",
	 .help = N_("what is packed may unpack to SIZE, or to 100 times what came (64M)")},
	{"raw", 0, OPTION_FLAG, .offset = offsetof(struct get_options, raw),
	 .help = N_("leave content as it comes: packed, JSON not laid out")},
	{"proxy", 'x', OPTION_TEXT, N_("URL"), offsetof(struct get_options, proxy),
	 .help = N_("by this proxy; '' for none, whatever the environment says")},
	{"pin", 0, OPTION_TEXT, N_("FINGERPRINT"), offsetof(struct get_options, pin),
	 .help = N_("https: the server must have this key (SHA256:...)")},
	{"insecure", 'k', OPTION_FLAG, .offset = offsetof(struct get_options, insecure),
	 .help = N_("https: whoever answers, without knowing who it is")},
	{"http1.0", 0, OPTION_FLAG, .offset = offsetof(struct get_options, http10),
	 .help = N_("speak HTTP/1.0")},
	{"bare", 0, OPTION_FLAG, .offset = offsetof(struct get_options, bare),
	 .help = N_("send `GET /PATH HTTP/1.0` and an empty line, and nothing else")},
	{"location", 'L', OPTION_FLAG, .offset = offsetof(struct get_options, location)},
	OPTION_END,
};

/* What was given and does not go together. 0, or the exit code. */
static int get_check(const struct command_call *call)
{
	const struct get_options *given = call->options;
	bool to_files = given->remote_name || given->output.count;

	if (!call->argc)
		return say_usage(_("prise get URL"), _("what to fetch is missing"));
	if (given->remote_name && given->output.count)
		return say_usage(_("one of the two"), _("-o and -O exclude each other"));
	if (given->output.count && given->output.count != (unsigned)call->argc)
		return say_usage(_("a -o for each URL, or -O"),
				 _("%d URLs and %u files to write to"), call->argc,
				 given->output.count);
	if (given->resume && !to_files)
		return say_usage(_("-C with -o FILE or -O"), _("-C needs a file to go on with"));
	if (given->data.count && given->form.count)
		return say_usage(_("one of the two"), _("-d and -F exclude each other"));
	if (given->bare && (given->data.count || given->form.count || given->fields.count ||
			    given->method || given->user || given->head || given->resume))
		return say_usage(_("--http1.0, which takes them"),
				 _("--bare sends nothing but its one line"));
	if (given->head && (given->data.count || given->form.count || given->method))
		return say_usage(_("-X METHOD -i"), _("-I asks for the head only"));
	return trust_check_pin(given->pin);
}

static int get_check_fields(const struct get_options *given)
{
	struct bytes name, value;

	for (unsigned i = 0; i < given->fields.count; i++) {
		const char *item = given->fields.item[i];

		if (!fetch_field(item, &name, &value) || strpbrk(item, "\r\n"))
			return say_usage(_("-H 'Name: value'"), _("'%s' is no field"), item);
		if (value.len && bytes_equal_fold(name, BYTES_LITERAL("Transfer-Encoding")))
			return say_usage(_("-d or -F alone: content goes with its length"),
					 _("'%s' would say of content what it is not"), item);
	}
	if (given->method && !http1_is_token(bytes_of_string(given->method)))
		return say_usage(_("-X with GET, HEAD, PUT, DELETE, ..."), _("'%s' is no method"),
				 given->method);
	return 0;
}

static int get_say_url(const char *given, int err)
{
	if (err == ERR_REFUSES)
		return say_usage(_("a URL that begins with http:// or https://"),
				 _("'%s': prise get speaks http and https only"), given);
	return say_usage(_("http://HOST:PORT/PATH, https://HOST/PATH, or just HOST"),
			 _("'%s' is no URL: %s"), given, _(err_text(err)));
}

/* What the terminal was like before it was to show no echo. */
static struct termios get_terminal;

/* Whoever gives up at the prompt gets the terminal back as it was. */
static void get_give_up_prompt(int signal_number)
{
	tcsetattr(STDIN_FILENO, TCSAFLUSH, &get_terminal);
	signal(signal_number, SIG_DFL);
	raise(signal_number);
}

/* `line` without its end; empty where nobody answers. */
static void get_read_password(char *line, int cap)
{
	static const int signals[] = {SIGINT, SIGTERM, SIGQUIT, SIGHUP};
	struct termios quiet = get_terminal;
	struct sigaction ours = {.sa_handler = get_give_up_prompt}, before[4];

	for (unsigned i = 0; i < 4; i++)
		sigaction(signals[i], &ours, &before[i]);
	quiet.c_lflag &= ~(tcflag_t)ECHO;
	tcsetattr(STDIN_FILENO, TCSAFLUSH, &quiet);
	if (!fgets(line, cap, stdin))
		line[0] = '\0';
	tcsetattr(STDIN_FILENO, TCSAFLUSH, &get_terminal);
	for (unsigned i = 0; i < 4; i++)
		sigaction(signals[i], &before[i], NULL);
	line[strcspn(line, "\n")] = '\0';
}

/* --user NAME: the password is asked for where somebody can answer. */
static const char *get_password(const char *user, char *buffer, size_t cap)
{
	char line[512] = "";

	if (!user || strchr(user, ':') || !isatty(STDIN_FILENO) ||
	    tcgetattr(STDIN_FILENO, &get_terminal) < 0)
		return user;
	fprintf(stderr, _("password of %s: "), user);
	get_read_password(line, sizeof line);
	fputc('\n', stderr);
	snprintf(buffer, cap, "%s:%s", user, line);
	return buffer;
}

static struct bytes get_method(const struct get_options *given, bool has_content)
{
	if (given->method)
		return bytes_of_string(given->method);
	if (given->head)
		return BYTES_LITERAL("HEAD");
	return has_content ? BYTES_LITERAL("POST") : BYTES_LITERAL("GET");
}

static void get_make_request(struct get_job *job, const char *user)
{
	const struct get_options *given = job->given;
	const struct command_common *common = &job->call->common;

	loop_refresh(job->links->loop);
	job->request = (struct fetch_request){
		.method = get_method(given, job->content->any),
		.part = job->content->part,
		.parts = job->content->parts,
		.has_content = job->content->any,
		.content_bytes = job->content->bytes,
		.content_type = job->content->type[0] ? job->content->type : NULL,
		.fields = &given->fields,
		.user = user,
		.minor = given->http10 || given->bare ? 0 : 1,
		.bare = given->bare,
		.takes_coded = !given->raw && !given->resume,
		.validator = "",
		.proxy = given->proxy,
		.redirects_most = (unsigned)given->redirects,
		.stays = given->redirects == 0,
		.silence_ms = common->timeout_ms ? common->timeout_ms : GET_SILENCE_MS,
		.total_due_ns = given->total_ms ? loop_now(job->links->loop)->boot_ns +
							  given->total_ms * MOMENT_MS
						: 0,
	};
}

/* One URL. Returns its exit code. */
static int get_one(struct get_job *job, const char *url, const char *file, const char *user)
{
	const struct get_options *given = job->given;
	char name[GET_URL_SHOWN_BYTES];
	struct text t = TEXT_OVER(name);
	int err = url_parse(&job->url, bytes_of_string(url));

	if (err)
		return get_say_url(url, err);
	if (given->remote_name) {
		url_put_file_name(&t, &job->url);
		file = name;
	}
	get_make_request(job, user);
	return get_job_run(job, file);
}

static int get_all(const struct command_call *call, struct links *links,
		   struct get_content *content)
{
	const struct get_options *given = call->options;
	struct fetch *fetch = malloc(sizeof *fetch);
	char buffer[8192];
	const char *user = get_password(given->user, buffer, sizeof buffer);
	int worst = 0;

	if (!fetch)
		return say_error(SAY_RUN, call->command->name, ERR_MEMORY);
	for (int i = 0; i < call->argc; i++) {
		struct get_job job = {.call = call,
				      .given = given,
				      .links = links,
				      .content = content,
				      .fetch = fetch};
		const char *file = given->output.count ? given->output.item[i] : NULL;
		int code = get_one(&job, call->argv[i], file, user);

		worst = code && call->argc > 1 ? 1 : code ? code : worst;
		if (code && job.sink.kind == GET_STDOUT && !say_flush())
			break;
	}
	free(fetch);
	return worst;
}

static int get_run(struct command_call *call)
{
	const struct get_options *given = call->options;
	struct get_content content = {0};
	struct links links;
	int err, code = get_check(call);

	if (!code)
		code = get_check_fields(given);
	if (!code)
		code = get_content_make(&content, given);
	if (code) {
		get_content_free(&content);
		return code;
	}
	err = links_begin(&links, call);
	if (err)
		return say_error(SAY_RUN, call->command->name, err);
	links.pin = given->pin;
	links.insecure = given->insecure;
	links.agent = "prise/" PRISE_VERSION;
	get_signal_begin();
	code = get_all(call, &links, &content);
	links_end(&links);
	get_content_free(&content);
	return code;
}

const struct command command_get = {
	.name = "get",
	.synopsis = N_("URL..."),
	.about = N_(
		"Fetches URLs, http and https, and writes what they hold to standard output or to "
		"files, byte for byte. HOST alone is http://HOST/. Redirects are followed; "
		"connections to one host are used again; what was packed with gzip or deflate is "
		"unpacked. On a terminal JSON is laid out, and what a terminal would obey is shown "
		"instead.\n\n"
		"A status of 400 or more is said on stderr; it is an answer like any other, unless "
		"--fail makes it exit 1. Of several URLs one that fails makes exit 1.\n\n"
		"-o writes under another name until the file is whole; when it does not come whole "
		"nothing is left. With -C what has come stays in FILE.part, and the next -C asks "
		"for the rest of it, if the server says that it is still the same. --retry does "
		"so within one call, after 1 s, 2 s, 4 s and so on, or what the server asks "
		"for.\n\n"
		"-t bounds the time to connect and any silence after that (10 s and 2 minutes "
		"unless told), --max-time the whole.\n\n"
		"https is verified with the system's trust store (SSL_CERT_FILE names another), or "
		"by --pin. Proxies come from http_proxy, https_proxy, all_proxy and no_proxy.\n\n"
		"With --json every exchange is a get.exchange event, redirects too; short texts "
		"stand in it, longer content goes to -o."),
	.examples = "prise get localhost:8080\n"
		    "prise get -i --bare http://localhost:8080/\n"
		    "prise get -O -C --retry 5 https://example.org/image.iso\n"
		    "prise get -d '{\"on\":true}' -H 'Content-Type: application/json' "
		    "localhost:8080/lamp\n"
		    "prise get --timing https://example.org/ >page.html\n",
	.takes = COMMAND_TAKES_FAMILY | COMMAND_TAKES_TIMEOUT,
	.options = options,
	.options_bytes = sizeof(struct get_options),
	.run = get_run,
};
