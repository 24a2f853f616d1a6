/* libpcap (pcap(3PCAP)), bound when the first capture begins.
 *
 * It brings eight libraries with it, which would otherwise be loaded, and cost most of its time,
 * whenever any command runs. */
#ifndef KERNEL_LIBPCAP_H
#define KERNEL_LIBPCAP_H

#include <pcap/pcap.h>

/* Every function of libpcap that prise calls, without its `pcap_`. */
#define LIBPCAP_FUNCTIONS(FUNCTION)                   \
	FUNCTION(activate)                            \
	FUNCTION(close)                               \
	FUNCTION(compile)                             \
	FUNCTION(create)                              \
	FUNCTION(datalink)                            \
	FUNCTION(datalink_val_to_name)                \
	FUNCTION(file)                                \
	FUNCTION(fopen_offline_with_tstamp_precision) \
	FUNCTION(freecode)                            \
	FUNCTION(get_selectable_fd)                   \
	FUNCTION(get_tstamp_precision)                \
	FUNCTION(geterr)                              \
	FUNCTION(next_ex)                             \
	FUNCTION(offline_filter)                      \
	FUNCTION(set_buffer_size)                     \
	FUNCTION(set_immediate_mode)                  \
	FUNCTION(set_promisc)                         \
	FUNCTION(set_snaplen)                         \
	FUNCTION(set_tstamp_precision)                \
	FUNCTION(setfilter)                           \
	FUNCTION(setnonblock)                         \
	FUNCTION(stats)

struct libpcap {
#define LIBPCAP_MEMBER(name) __typeof__(pcap_##name) *name;
	LIBPCAP_FUNCTIONS(LIBPCAP_MEMBER)
#undef LIBPCAP_MEMBER
};

/* The library, which stays for as long as the process; from one thread. 0, or ERR_SYSTEM: it is
 * not installed, or misses a function; `why`, `size` bytes, has dlerror(3)'s words. */
int libpcap_load(const struct libpcap **library, char *why, size_t size);

#endif
