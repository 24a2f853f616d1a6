/* Frames from a capture file or a network interface, through libpcap.
 *
 *   FILE (pcap, pcapng), - (standard input), INTERFACE ──► frames_next ──► struct frames_frame
 *
 * The only room that knows libpcap. Files are read from their beginning to wherever they end or
 * break; what was read until then counts. */
#ifndef KERNEL_FRAMES_H
#define KERNEL_FRAMES_H

#include "base/bytes.h"

enum { FRAMES_WHY_BYTES = 512 };

struct frames;

struct frames_frame {
	uint64_t number; /* from 1; in a file also those that the filter leaves out count */
	int64_t time_ns; /* since 1970 */
	size_t wire_bytes;
	struct bytes captured; /* valid until the next frames_next */
};

/* What of a live capture was lost. */
struct frames_losses {
	uint64_t kernel;    /* we were too slow */
	uint64_t interface; /* the card or its driver was */
};

/* Opens a file; "-" is standard input. 0, or the ERR_ of open(2), or ERR_LEFT (it ends in its
 * header), ERR_PROTOCOL (no capture), ERR_LIMIT (of interfaces of several kinds, which libpcap does
 * not read), ERR_SYSTEM (libpcap is not installed), and then `why`, FRAMES_WHY_BYTES, has libpcap's
 * words, or dlerror(3)'s. */
int frames_open_file(struct frames **frames, const char *path, char *why);

/* Opens an interface ("any": all), non-blocking; `promiscuous`: also what passes by that is not for
 * this machine (not on any). 0, or ERR_PERMISSION, ERR_NO_FILE (no such
 * interface), ERR_UNREACHABLE (it is down), ERR_SYSTEM; `why` as above. */
int frames_open_live(struct frames **frames, const char *interface, bool promiscuous, char *why);

/* Live: whether the interface is still there and up: 0 or ERR_UNREACHABLE. libpcap goes on waiting
 * on one that is gone. */
int frames_check(const struct frames *f);

/* Only what pcap-filter(7) says from now on. 0, or ERR_SYNTAX and `why`. */
int frames_filter(struct frames *f, const char *expression, char *why);

/* The link type by its number in capture files, and its name. */
unsigned frames_link(const struct frames *f);
const char *frames_link_name(const struct frames *f);

/* The next frame: 1; 0: no more (a file), none now (live); ERR_LEFT: the file is cut short here;
 * ERR_PROTOCOL: it is damaged here; ERR_LIMIT: as above; ERR_UNREACHABLE: the interface is gone or
 * down; ERR_SYSTEM. */
int frames_next(struct frames *f, struct frames_frame *frame);

/* libpcap's words on the last error. */
const char *frames_why(const struct frames *f);

/* Live: readable when there may be a frame. A file: its own. */
int frames_descriptor(const struct frames *f);
void frames_count_losses(struct frames *f, struct frames_losses *losses);

/* Of a regular file: its size, and how much of it was read; else 0. */
uint64_t frames_size_bytes(const struct frames *f);
uint64_t frames_read_bytes(const struct frames *f);

/* NULL does nothing. */
void frames_close(struct frames *f);

#endif
