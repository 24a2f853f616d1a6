/* The dashboard: what lies in web/, made part of the program at build (tools/embed). */
#ifndef DAEMON_WEB_H
#define DAEMON_WEB_H

#include "proto/http_server.h"

extern const struct http_asset web_asset[];
extern const unsigned web_assets;

#endif
