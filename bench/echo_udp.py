"""Echo over UDP, 64-byte datagrams from 50 sockets in a closed loop: what a datagram costs the
server's processor, beside a plain loop and beside batches of system calls."""

from harness import bare, Claim, OFTEN, prise, speed, system_calls

CONNECTIONS = 50


def plain():
    return bare("bare_udp_echo", "udp", "recvfrom and sendto")


def batches():
    return bare("bare_udp_mmsg", "udp", "the limit: recvmmsg and sendmmsg, 32 at a time")


CLAIMS = [Claim("echo UDP, 64 B, 50 sockets", "requests per CPU-second",
                lambda: prise("echo", "udp"), theirs, speed(CONNECTIONS), ">=", bound,
                by_slices=True, often=OFTEN, limit=limit,
                calls=lambda spec: system_calls(spec, CONNECTIONS))
          for theirs, bound, limit in ((plain, 1.12, batches), (batches, 0.93, None))]
