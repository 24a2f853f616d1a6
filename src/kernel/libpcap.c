/* libpcap, bound by dlopen(3) under the names that Debian and others give it. */
#include "kernel/libpcap.h"

#include "base/err.h"

#include <dlfcn.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

static const char *const names[] = {"libpcap.so.0.8", "libpcap.so.1"};

static void *open_library(void)
{
	void *handle = NULL;

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]) && handle == NULL; i++)
		handle = dlopen(names[i], RTLD_NOW | RTLD_LOCAL);
	return handle;
}

/* POSIX has a function's address come as an object's; C has no cast between the two. */
static bool bind_one(void *handle, const char *name, void *function, size_t size)
{
	void *address = dlsym(handle, name);

	memcpy(function, &address, size);
	return address != NULL;
}

static bool bind_all(struct libpcap *library, void *handle)
{
#define LIBPCAP_BIND(name) &&bind_one(handle, "pcap_" #name, &library->name, sizeof(library->name))
	return handle != NULL LIBPCAP_FUNCTIONS(LIBPCAP_BIND);
#undef LIBPCAP_BIND
}

int libpcap_load(const struct libpcap **library, char *why, size_t size)
{
	static struct libpcap loaded;
	static bool is_loaded;

	if (!is_loaded && !bind_all(&loaded, open_library())) {
		snprintf(why, size, "%s", dlerror());
		return ERR_SYSTEM;
	}
	is_loaded = true;
	*library = &loaded;
	return 0;
}
