/* A test program of its own network: a network and mount namespace in which only loopback is up,
 * and /etc/hosts, /etc/resolv.conf and /etc/nsswitch.conf are ours to write. */
#ifndef TESTS_UNIT_PRIVATE_H
#define TESTS_UNIT_PRIVATE_H

#include <stdbool.h>

/* Leaves `namespaces` (CLONE_NEW of unshare(2)); who is not root is root in the new ones, by way of
 * a user namespace. Before there are threads. */
bool private_unshare(int namespaces);

/* Moves this process there; before there are threads. False when the system does not let us: tests
 * that need it skip. */
bool private_enter(void);

/* Whether private_enter succeeded. */
bool private_here(void);

/* Writes those files; `order` is nsswitch's ("files", "files dns"). */
void private_resolver(const char *hosts, const char *resolv_conf, const char *order);

/* Runs a shell command quietly; whether it exited with 0. */
bool private_run(const char *command);

/* How many descriptors this process has. */
unsigned private_descriptors(void);

#endif
