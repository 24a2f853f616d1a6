/* Frames through libpcap (pcap(3PCAP)): it knows pcap and pcapng, both byte orders, micro- and
 * nanoseconds, and the kernel's rings.
 *
 * A filter is applied to a file's frames here, so that frames keep their numbers in the file. */
#include "kernel/frames.h"

#include "base/err.h"
#include "kernel/libpcap.h"

#include <errno.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

enum { SNAP_BYTES = 262144, RING_BYTES = 32 << 20, FILE_BUFFER_BYTES = 1 << 20 };

_Static_assert((int)FRAMES_WHY_BYTES >= PCAP_ERRBUF_SIZE, "libpcap's words fit");

/* Some link types have another number in memory than in files. */
enum { LINK_RAW_HERE = 12, LINK_RAW_BSD = 14, LINK_RAW = 101 };

struct frames {
	const struct libpcap *pcap;
	pcap_t *handle;
	FILE *file; /* libpcap's, once it is open */
	bool live, filtered;
	char interface[IF_NAMESIZE]; /* live, but for any */
	unsigned index;
	uint64_t number;
	uint64_t size_bytes;
	struct bpf_program filter;
	char buffer[FILE_BUFFER_BYTES];
};

/* Takes `*frames` back. */
static int refuse(struct frames **frames, int err)
{
	frames_close(*frames);
	*frames = NULL;
	return err;
}

static int open_stream(struct frames *f, const char *path)
{
	struct stat status;

	f->file = strcmp(path, "-") == 0 ? stdin : fopen(path, "rbe");
	if (f->file == NULL || fstat(fileno(f->file), &status) < 0)
		return err_from_errno(errno);
	if (S_ISDIR(status.st_mode))
		return ERR_PROTOCOL;
	if (S_ISREG(status.st_mode))
		f->size_bytes = (uint64_t)status.st_size;
	if (f->file != stdin) /* which outlives the buffer */
		setvbuf(f->file, f->buffer, _IOFBF, sizeof(f->buffer));
	return 0;
}

/* libpcap tells errors apart by their text alone. */
static int err_of_file(const char *why)
{
	if (strstr(why, "different from the") != NULL) /* of another interface in a pcapng file */
		return ERR_LIMIT;
	return strstr(why, "truncated") != NULL ? ERR_LEFT : ERR_PROTOCOL;
}

static int begin(struct frames **frames, char *why)
{
	int err;

	why[0] = '\0';
	*frames = calloc(1, sizeof(**frames));
	if (*frames == NULL)
		return ERR_MEMORY;
	err = libpcap_load(&(*frames)->pcap, why, FRAMES_WHY_BYTES);
	return err == 0 ? 0 : refuse(frames, err);
}

int frames_open_file(struct frames **frames, const char *path, char *why)
{
	int err = begin(frames, why);
	struct frames *f = *frames;

	if (err != 0)
		return err;
	err = open_stream(f, path);
	if (err != 0)
		return refuse(frames, err);
	f->handle = f->pcap->fopen_offline_with_tstamp_precision(f->file,
								 PCAP_TSTAMP_PRECISION_NANO, why);
	if (f->handle == NULL)
		return refuse(frames, err_of_file(why));
	f->file = NULL;
	return 0;
}

static int err_of_live(int status)
{
	switch (status) {
	case PCAP_ERROR_PERM_DENIED:
	case PCAP_ERROR_PROMISC_PERM_DENIED:
		return ERR_PERMISSION;
	case PCAP_ERROR_NO_SUCH_DEVICE:
		return ERR_NO_FILE;
	case PCAP_ERROR_IFACE_NOT_UP:
		return ERR_UNREACHABLE;
	default:
		return ERR_SYSTEM;
	}
}

int frames_open_live(struct frames **frames, const char *interface, bool promiscuous, char *why)
{
	int err = begin(frames, why);
	struct frames *f = *frames;
	int status;

	if (err != 0)
		return err;
	f->live = true;
	f->handle = f->pcap->create(interface, why);
	if (f->handle == NULL)
		return refuse(frames, ERR_SYSTEM);
	f->index = if_nametoindex(interface);
	snprintf(f->interface, sizeof(f->interface), "%s", interface);
	f->pcap->set_promisc(f->handle, promiscuous);
	f->pcap->set_snaplen(f->handle, SNAP_BYTES);
	f->pcap->set_buffer_size(f->handle, RING_BYTES);
	f->pcap->set_immediate_mode(f->handle, 1);
	f->pcap->set_tstamp_precision(f->handle, PCAP_TSTAMP_PRECISION_NANO);
	status = f->pcap->activate(f->handle);
	if (status < 0) {
		snprintf(why, FRAMES_WHY_BYTES, "%s", f->pcap->geterr(f->handle));
		return refuse(frames, err_of_live(status));
	}
	if (f->pcap->setnonblock(f->handle, 1, why) < 0)
		return refuse(frames, ERR_SYSTEM);
	return 0;
}

int frames_check(const struct frames *f)
{
	struct ifreq request = {0};
	int fd, status;

	if (f->index == 0)
		return 0;
	if (if_nametoindex(f->interface) != f->index)
		return ERR_UNREACHABLE;
	memcpy(request.ifr_name, f->interface, sizeof(f->interface));
	fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return 0;
	status = ioctl(fd, SIOCGIFFLAGS, &request);
	close(fd);
	return status < 0 || (request.ifr_flags & IFF_UP) ? 0 : ERR_UNREACHABLE;
}

int frames_filter(struct frames *f, const char *expression, char *why)
{
	why[0] = '\0';
	if (f->pcap->compile(f->handle, &f->filter, expression, 1, PCAP_NETMASK_UNKNOWN) == 0) {
		f->filtered = true;
		if (!f->live || f->pcap->setfilter(f->handle, &f->filter) == 0)
			return 0;
	}
	snprintf(why, FRAMES_WHY_BYTES, "%s", f->pcap->geterr(f->handle));
	return ERR_SYNTAX;
}

unsigned frames_link(const struct frames *f)
{
	int link = f->pcap->datalink(f->handle);

	return link == LINK_RAW_HERE || link == LINK_RAW_BSD ? LINK_RAW : (unsigned)link;
}

const char *frames_link_name(const struct frames *f)
{
	const char *name = f->pcap->datalink_val_to_name(f->pcap->datalink(f->handle));

	return name != NULL ? name : "?";
}

static int64_t time_of(const struct frames *f, const struct pcap_pkthdr *header)
{
	int64_t unit = f->pcap->get_tstamp_precision(f->handle) == PCAP_TSTAMP_PRECISION_NANO
			       ? 1
			       : 1000;

	return (int64_t)((uint64_t)header->ts.tv_sec * 1000000000u +
			 (uint64_t)header->ts.tv_usec * (uint64_t)unit);
}

int frames_next(struct frames *f, struct frames_frame *frame)
{
	struct pcap_pkthdr *header;
	const uint8_t *data;
	int status;

	do {
		status = f->pcap->next_ex(f->handle, &header, &data);
		if (status == PCAP_ERROR_BREAK || status == 0)
			return 0;
		if (status < 0)
			return f->live ? ERR_UNREACHABLE : err_of_file(f->pcap->geterr(f->handle));
		f->number++;
	} while (!f->live && f->filtered && f->pcap->offline_filter(&f->filter, header, data) == 0);
	*frame = (struct frames_frame){
		.number = f->number,
		.time_ns = time_of(f, header),
		.wire_bytes = header->len,
		.captured = bytes_of(data, header->caplen),
	};
	return 1;
}

const char *frames_why(const struct frames *f)
{
	return f->pcap->geterr(f->handle);
}

int frames_descriptor(const struct frames *f)
{
	return f->live ? f->pcap->get_selectable_fd(f->handle) : fileno(f->pcap->file(f->handle));
}

void frames_count_losses(struct frames *f, struct frames_losses *losses)
{
	struct pcap_stat stat = {0};

	if (f->live && f->pcap->stats(f->handle, &stat) < 0)
		stat = (struct pcap_stat){0};
	*losses = (struct frames_losses){.kernel = stat.ps_drop, .interface = stat.ps_ifdrop};
}

uint64_t frames_size_bytes(const struct frames *f)
{
	return f->size_bytes;
}

uint64_t frames_read_bytes(const struct frames *f)
{
	long at = f->size_bytes > 0 ? ftell(f->pcap->file(f->handle)) : 0;

	return at > 0 ? (uint64_t)at : 0;
}

void frames_close(struct frames *f)
{
	if (f == NULL)
		return;
	if (f->filtered)
		f->pcap->freecode(&f->filter);
	if (f->handle != NULL)
		f->pcap->close(f->handle);
	else if (f->file != NULL && f->file != stdin)
		fclose(f->file);
	free(f);
}
