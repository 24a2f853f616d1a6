/* See pktinfo.h. */
#include "net/pktinfo.h"

#include <netinet/in.h>
#include <string.h>

void pktinfo_ask(int fd, uint8_t family)
{
	int on = 1;

	if (family == ADDRESS_V4)
		setsockopt(fd, IPPROTO_IP, IP_PKTINFO, &on, sizeof on);
	if (family == ADDRESS_V6)
		setsockopt(fd, IPPROTO_IPV6, IPV6_RECVPKTINFO, &on, sizeof on);
}

void pktinfo_turn_round(struct msghdr *message, struct address *local)
{
	for (struct cmsghdr *c = CMSG_FIRSTHDR(message); c; c = CMSG_NXTHDR(message, c)) {
		if (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_PKTINFO) {
			struct in_pktinfo info;

			memcpy(&info, CMSG_DATA(c), sizeof info);
			info.ipi_ifindex = 0;
			info.ipi_spec_dst = info.ipi_addr;
			memcpy(local->ip, &info.ipi_addr, 4);
			memcpy(CMSG_DATA(c), &info, sizeof info);
		} else if (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_PKTINFO) {
			struct in6_pktinfo info;

			memcpy(&info, CMSG_DATA(c), sizeof info);
			if (!IN6_IS_ADDR_LINKLOCAL(&info.ipi6_addr))
				info.ipi6_ifindex = 0;
			memcpy(local->ip, &info.ipi6_addr, 16);
			memcpy(CMSG_DATA(c), &info, sizeof info);
		}
	}
}
