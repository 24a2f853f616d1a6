"""User memory of a connection that was used once and is idle now, beside nginx's keep-alive.

It is what a server that holds 10,000 of them needs more than one that was set up for a few and
holds none, divided by 10,000: so a table made at start for as many as may come counts too. What is
measured is anonymous memory of all the server's processes."""

from harness import Claim, installed, Load, prise, Server, Spec

CONNECTIONS = 10000
FEW = 32

NGINX = """
daemon off;
master_process off;
worker_processes 1;
worker_rlimit_nofile 20000;
pid {dir}/nginx.pid;
error_log stderr emerg;
events { worker_connections {connections}; multi_accept on; }
http {
	access_log off;
	client_body_temp_path {dir}/body;
	proxy_temp_path {dir}/proxy;
	fastcgi_temp_path {dir}/fastcgi;
	uwsgi_temp_path {dir}/uwsgi;
	scgi_temp_path {dir}/scgi;
	keepalive_timeout 1h;
	keepalive_requests 1000000;
	connection_pool_size 256;
	client_header_buffer_size 256;
	server {
		listen 127.0.0.1:{port} backlog=4096;
		location / { return 200 "idle"; }
	}
}
"""


def nginx(connections=CONNECTIONS + 10):
    return Spec("nginx keep-alive", [installed("nginx"), "-p", "{dir}", "-c", "{dir}/nginx.conf"],
                note="one process, connection_pool_size 256, client_header_buffer_size 256",
                files={"nginx.conf": NGINX.replace("{connections}", str(connections))},
                speaks="http", few=lambda: nginx(FEW))


def ours(connections=CONNECTIONS + 10):
    spec = prise("echo")
    spec.files["prise.conf"] += f"echo {{ max_connections = {connections} }}\n"
    spec.few = lambda: ours(FEW)
    return spec


def each_bytes(spec):
    with Server(spec.few()) as server:
        before = server.user_bytes()
    with Server(spec) as server, Load("load_idle", spec.speaks, server.port, CONNECTIONS) as load:
        load.line()
        return (server.user_bytes() - before) / CONNECTIONS


CLAIMS = [Claim("user memory of an idle connection, of 10,000", "bytes", ours, nginx, each_bytes,
                "<=", 0.25, most=256)]
