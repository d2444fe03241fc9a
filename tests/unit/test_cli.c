// SPDX-License-Identifier: GPL-2.0-or-later
/* lbctl's command line: what it asks of lbd, what it refuses, what it says when that fails. */
#include "fake_lbd.h"

/* ---- command lines that make a request ---- */

struct request_case {
	const char *const *args;
	const char *request;
	const char *body; /* JSON, in any order of keys; NULL: none */
};

static void check_requests(const struct request_case *cases, size_t nr)
{
	struct seen s;

	for (size_t i = 0; i < nr; i++) {
		char *answer = http(200, "{}"), *body = unquote(cases[i].body ? cases[i].body : "");
		json_t *want, *got;

		run(cases[i].args, NULL, answer, &s);
		check_request(cases[i].args, &s, cases[i].request);
		want = json_loads(body, 0, NULL);
		got = json_loads(body_of(&s), JSON_REJECT_DUPLICATES, NULL);
		if (cases[i].body ? !want || !json_equal(want, got) : *body_of(&s) != '\0')
			same(cases[i].args, "the body", body_of(&s), body);
		same(cases[i].args, "stderr", s.err.data, "");
		assert_int_equal(s.exit, 0);
		json_decref(want);
		json_decref(got);
		seen_fini(&s);
		free(answer);
		free(body);
	}
}

static void test_requests_service(void **state)
{
	const struct request_case cases[] = {
		{ARGS("attach", "eth0"), "POST /v1/interfaces", "{'name':'eth0'}"},
		{ARGS("attach", "eth0", "--mode", "native"), "POST /v1/interfaces", "{'name':'eth0','mode':'native'}"},
		{ARGS("--mode=generic", "attach", "eth0"), "POST /v1/interfaces", "{'name':'eth0','mode':'generic'}"},
		{ARGS("detach", "eth0.7"), "DELETE /v1/interfaces/eth0.7", NULL},
		{ARGS("service", "add", "web", "192.0.2.10:80/tcp"), "POST /v1/services",
		 "{'name':'web','vip':['192.0.2.10:80/tcp']}"},
		{ARGS("service", "add", "web", "[2001:db8::1]:443/udp", "--vip", "192.0.2.1:443/udp",
		      "--vip=192.0.2.2:443/udp"),
		 "POST /v1/services",
		 "{'name':'web','vip':['[2001:db8::1]:443/udp','192.0.2.1:443/udp','192.0.2.2:443/udp']}"},
		{ARGS("service", "--forward", "l2", "add", "--policy=maglev", "w", "--affinity", "none", "1.2.3.4:5",
		      "--state", "all"),
		 "POST /v1/services",
		 "{'name':'w','vip':['1.2.3.4:5'],'forward':'l2','policy':'maglev','affinity':{'by':'none',"
		 "'timeout':'none'},'state':'all'}"},
		{ARGS("service", "set", "w", "--affinity", "source:10m", "--affinity-ipv4-prefix=24",
		      "--affinity-ipv6-prefix", "64"),
		 "PATCH /v1/services/w",
		 "{'affinity':{'by':'source','timeout':'10m','ipv4_prefix':'24','ipv6_prefix':'64'}}"},
		{ARGS("service", "set", "w", "--forward=fullnat", "--snat", "10.0.0.1,2001:db8::1", "--snat",
		      "10.0.0.2"),
		 "PATCH /v1/services/w", "{'forward':'fullnat','snat':['10.0.0.1','2001:db8::1','10.0.0.2']}"},
		{ARGS("service", "set", "w", "--allow", "none", "--deny", "10.0.0.0/8,", "--quic", "0:4:8,1:4:8"),
		 "PATCH /v1/services/w", "{'allow':[],'deny':['10.0.0.0/8',''],'quic':{'configs':['0:4:8','1:4:8']}}"},
		{ARGS("service", "set", "w", "--quic", "none", "--gue-port", "1", "--on-down", "keep", "--on-disable",
		      "terminate", "--source-rate-limit", "5", "--ping", "true", "--mss-clamp", "none", "--announce",
		      "true", "--quorum", "2"),
		 "PATCH /v1/services/w",
		 "{'quic':{'configs':[]},'gue_port':'1','on_down':'keep','on_disable':'terminate',"
		 "'source_rate_limit':'5','ping':'true','mss_clamp':'none','announce':'true','quorum':'2'}"},
		{ARGS("service", "set", "w", "--vip", "192.0.2.0/28:*,x"), "PATCH /v1/services/w",
		 "{'vip':['192.0.2.0/28:*,x']}"},
		{ARGS("backend", "set", "w", "a", "--server-id", "0a0b"), "PATCH /v1/services/w/backends/a",
		 "{'server_id':'0a0b'}"},
		{ARGS("service", "del", "web"), "DELETE /v1/services/web", NULL},
		{ARGS("service", "del", "--", "--json"), "DELETE /v1/services/--json", NULL},
		{ARGS("service", "del", "a b/../%?#&"), "DELETE /v1/services/a%20b%2F..%2F%25%3F%23%26", NULL},
		{ARGS("service", "del", ".."), "DELETE /v1/services/..", NULL},
		{ARGS("service", "del", "caf\xc3\xa9"), "DELETE /v1/services/caf%C3%A9", NULL},
	};

	check_requests(cases, sizeof(cases) / sizeof(*cases));
}

static void test_requests_check(void **state)
{
	const struct request_case cases[] = {
		{ARGS("service", "add", "w", "v", "--check", "http:/health?a=b:c", "--check-port", "8080",
		      "--check-interval", "2s", "--check-timeout", "500ms", "--check-host", "example.org",
		      "--expect-status", "200-299", "--expect-body", "all is well", "--rise", "2", "--fall", "3",
		      "--panic-threshold", "30"),
		 "POST /v1/services",
		 "{'name':'w','vip':['v'],'check':{'type':'http','path':'/health?a=b:c','port':'8080','interval':'2s',"
		 "'timeout':'500ms','host':'example.org','expect_status':'200-299','expect_body':'all is "
		 "well','rise':'2',"
		 "'fall':'3'},'panic_threshold':'30'}"},
		{ARGS("service", "set", "w", "--flaps", "5", "--flap-window", "1m", "--flap-hold", "10s",
		      "--flap-hold-max", "5m", "--tier-min", "2", "--slow-start", "30s", "--drain-timeout", "none"),
		 "PATCH /v1/services/w",
		 "{'check':{'flaps':'5','flap_window':'1m','flap_hold':'10s','flap_hold_max':'5m'},'tier_min':'2',"
		 "'slow_start':'30s','drain_timeout':'none'}"},
		{ARGS("status", "--verify"), "GET /v1/status?verify=1", NULL},
		{ARGS("service", "set", "web", "--check", "tcp"), "PATCH /v1/services/web", "{'check':{'type':'tcp'}}"},
		{ARGS("service", "set", "w", "--check", "https:/a", "--check-method", "HEAD", "--check-header",
		      "A: b,c", "--check-header", "D: e", "--check-verify", "false", "--check-server-name", "n",
		      "--check-ca-file", "/f"),
		 "PATCH /v1/services/w",
		 "{'check':{'type':'https','path':'/a','method':'HEAD','headers':['A: b,c','D: "
		 "e'],'verify':'false','server_name':'n','ca_file':'/f'}}"},
		{ARGS("service", "set", "w", "--check", "grpc:a.B", "--check-tls", "true"), "PATCH /v1/services/w",
		 "{'check':{'type':'grpc','service':'a.B','tls':'true'}}"},
		{ARGS("service", "set", "w", "--check", "grpc", "--check-fast-interval", "none"),
		 "PATCH /v1/services/w", "{'check':{'type':'grpc','fast_interval':'none'}}"},
		{ARGS("service", "set", "w", "--check", "dns:a.b", "--check-record", "AAAA"), "PATCH /v1/services/w",
		 "{'check':{'type':'dns','name':'a.b','record':'AAAA'}}"},
		{ARGS("service", "set", "w", "--check", "exec:/a:b", "--check-arg", "x y", "--check-arg=--z"),
		 "PATCH /v1/services/w", "{'check':{'type':'exec','program':'/a:b','args':['x y','--z']}}"},
		{ARGS("service", "set", "w", "--check-via", "vip"), "PATCH /v1/services/w",
		 "{\"check\":{\"via\":\"vip\"}}"},
		{ARGS("service", "set", "w", "--check-arg", "none", "--check-header", "none"), "PATCH /v1/services/w",
		 "{'check':{'args':[],'headers':[]}}"},
		{ARGS("service", "set", "w", "--check", "udp", "--check-send", "\\x00:", "--check-expect", "a"),
		 "PATCH /v1/services/w", "{'check':{'type':'udp','send':'\\\\x00:','expect':'a'}}"},
		{ARGS("service", "set", "web", "--check", "http:/a", "--check", "tcp"), "PATCH /v1/services/web",
		 "{'check':{'type':'tcp'}}"},
		{ARGS("service", "set", "web", "--rise", "5", "--rise", "6"), "PATCH /v1/services/web",
		 "{'check':{'rise':'6'}}"},
		{ARGS("service", "set", "web", "--vip", "a", "--vip", "b"), "PATCH /v1/services/web",
		 "{'vip':['a','b']}"},
		{ARGS("service", "set", "web", "--expect-body=--x"), "PATCH /v1/services/web",
		 "{'check':{'expect_body':'--x'}}"},
		{ARGS("service", "set", "web", "--expect-body="), "PATCH /v1/services/web",
		 "{'check':{'expect_body':''}}"},
		{ARGS("service", "set", "web", "--expect-body", "a\"b\\c\n"), "PATCH /v1/services/web",
		 "{'check':{'expect_body':'a\\\"b\\\\c\\n'}}"},
	};

	check_requests(cases, sizeof(cases) / sizeof(*cases));
}

static void test_requests_backend(void **state)
{
	const struct request_case cases[] = {
		{ARGS("backend", "add", "web", "10.0.0.11:80"), "POST /v1/services/web/backends",
		 "{'address':'10.0.0.11:80'}"},
		{ARGS("backend", "add", "web", "10.0.0.11", "--weight", "50", "--tier", "1"),
		 "POST /v1/services/web/backends", "{'address':'10.0.0.11','weight':'50','tier':'1'}"},
		{ARGS("backend", "add", "--weight", "-1", "web", "a"), "POST /v1/services/web/backends",
		 "{'address':'a','weight':'-1'}"},
		{ARGS("backend", "set", "web", "[2001:db8::1]:80", "--weight=0"),
		 "PATCH /v1/services/web/backends/%5B2001%3Adb8%3A%3A1%5D%3A80", "{'weight':'0'}"},
		{ARGS("backend", "del", "web", "10.0.0.1:80"), "DELETE /v1/services/web/backends/10.0.0.1%3A80", NULL},
		{ARGS("backend", "drain", "web", "10.0.0.1"), "PATCH /v1/services/web/backends/10.0.0.1",
		 "{'state':'draining'}"},
		{ARGS("backend", "enable", "web", "10.0.0.1"), "PATCH /v1/services/web/backends/10.0.0.1",
		 "{'state':'enabled'}"},
		{ARGS("backend", "disable", "web", "10.0.0.1"), "PATCH /v1/services/web/backends/10.0.0.1",
		 "{'state':'disabled'}"},
	};

	check_requests(cases, sizeof(cases) / sizeof(*cases));
}

static void test_requests_read(void **state)
{
	const struct request_case cases[] = {
		{ARGS("status"), "GET /v1/status", NULL},
		{ARGS("service", "list"), "GET /v1/services", NULL},
		{ARGS("service", "show", "web"), "GET /v1/services/web", NULL},
		{ARGS("backend", "list"), "GET /v1/services", NULL},
		{ARGS("backend", "list", "web"), "GET /v1/services/web", NULL},
		{ARGS("export"), "GET /v1/config", NULL},
		{ARGS("export", "--json"), "GET /v1/config", NULL},
		{ARGS("flows"), "GET /v1/flows", NULL},
		{ARGS("flows", "a b"), "GET /v1/flows?service=a%20b", NULL},
		{ARGS("flows", "web", "--client", "fd00::1", "--limit", "5"),
		 "GET /v1/flows?service=web&client=fd00%3A%3A1&limit=5", NULL},
		{ARGS("flows", "--backend", "10.0.0.1:80", "--count"), "GET /v1/flows?backend=10.0.0.1%3A80", NULL},
	};

	check_requests(cases, sizeof(cases) / sizeof(*cases));
}

static void test_requests_trace(void **state)
{
	const struct request_case cases[] = {
		{ARGS("trace", "--packet", "198.51.100.7:1234 > 192.0.2.10:80"), "POST /v1/trace",
		 "{'packets':['0000000000000200000000000800450000280000400040064e8bc6336407"
		 "c000020a04d2005000000001000000015002ffffbe790000'],'frames':false}"},
		{ARGS("trace", "--packet", "udp [fd00::1]:9 -> [fd00::2]:53 len=50 ttl=3", "--iface=eth1", "--packet",
		      "hex:0102030405060708 090a0b0c 86dd"),
		 "POST /v1/trace",
		 "{'packets':['00000000000002000000000086dd60000000000a1103fd000000000000000000000000000001fd00"
		 "000000000000000000000000000200090035000a05980000','0102030405060708090a0b0c86dd'],'frames':false,'"
		 "interface':'eth1'}"},
		{ARGS("trace", "--packet", "icmp,10.0.0.1,10.0.0.2", "--packet",
		      "proto=tcp,src=10.0.0.1,sport=5,dst=10.0.0.2:6,flags=syn+ack"),
		 "POST /v1/trace",
		 "{'packets':['00000000000002000000000008004500001c00004000400126df0a0000010a0000020800f7ff00000000',"
		 "'00000000000002000000000008004500002800004000400626ce0a0000010a0000020005000600000001000000015012ffff"
		 "9bc30000'],'frames':false}"},
		{ARGS("trace", "--packet", "sctp 10.0.0.1:5 > 10.0.0.2:6", "--packet",
		      "10.0.0.1:5 > 10.0.0.2:6/sctp ack"),
		 "POST /v1/trace",
		 "{'packets':['"
		 "00000000000002000000000008004500003400004000408426440a0000010a00000200050006000000008f6dfd24010000140"
		 "0000001000001000001000100000000',"
		 "'00000000000002000000000008004500003100004000408426470a0000010a0000020005000600000001edd9160500030011"
		 "00000001000000000000000000'],'frames':false}"},
		{ARGS("flows", "flush"), "DELETE /v1/flows", NULL},
		{ARGS("flows", "flush", "web"), "DELETE /v1/flows?service=web", NULL},
		{ARGS("monitor"), "GET /v1/events?traffic=1", NULL},
		{ARGS("monitor", "--since", "a&b", "-n", "2"), "GET /v1/events?traffic=1&since=a%26b", NULL},
		{ARGS("monitor", "--type", "health,verdict"), "GET /v1/events?traffic=1&type=health%2Cverdict", NULL},
	};

	check_requests(cases, sizeof(cases) / sizeof(*cases));
}

/* --socket goes before LBD_SOCKET, and stands anywhere. */
static void test_socket_option(void **state)
{
	struct seen s;
	char *answer = http(200, "{}");

	run(ARGS("service", "--socket", "/nonexistent/s", "list"), NULL, answer, &s);
	assert_int_equal(s.exit, 3);
	assert_int_equal(s.request.len, 0);
	assert_non_null(strstr(s.err.data, "/nonexistent/s: No such file or directory"));
	seen_fini(&s);
	free(answer);
}

static void test_request_headers(void **state)
{
	char *answer = http(200, "services: []\n");
	struct seen s;

	setenv("http_proxy", "http://127.0.0.1:1", 1);
	run(ARGS("export"), NULL, answer, &s);
	unsetenv("http_proxy");
	assert_non_null(strcasestr(s.request.data, "\r\nAccept: application/yaml\r\n"));
	same(ARGS("export"), "stdout", s.out.data, "services: []\n");
	seen_fini(&s);
	run(ARGS("service", "set", "w", "--rise", "1"), NULL, answer, &s);
	assert_non_null(strcasestr(s.request.data, "\r\nContent-Type: application/json\r\n"));
	assert_null(strcasestr(s.request.data, "\r\nExpect:"));
	seen_fini(&s);
	free(answer);
}

/* ---- mistakes: nothing is asked of lbd ---- */

struct usage_case {
	const char *const *args;
	const char *err; /* without "lbctl: " and "lbctl help" */
};

static void test_usage(void **state)
{
	const struct usage_case cases[] = {
		{ARGS("servce"), "unknown command 'servce'; did you mean 'service'?|"},
		{ARGS("xyzzy"), "unknown command 'xyzzy';|"},
		{ARGS("--json"), "a command is missing;|"},
		{ARGS("service"), "service: what to do is missing;| service"},
		{ARGS("service", "lst"), "unknown command 'service lst'; did you mean 'list'?| service"},
		{ARGS("service", "add"), "service add: NAME is missing;| service add"},
		{ARGS("service", "add", "web"), "service add: VIP is missing;| service add"},
		{ARGS("service", "add", "", "v"), "service add: NAME is empty;| service add"},
		{ARGS("service", "add", "a", "b", "c"), "service add: 'c' is one argument too many;| service add"},
		{ARGS("service", "set", "web"), "service set: say what to set, with an option;| service set"},
		{ARGS("service", "add", "a", "b", "--weigth", "1"),
		 "service add: unknown option --weigth; did you mean --weight?| service add"},
		{ARGS("service", "list", "--check-intervall=1s"),
		 "service list: unknown option --check-intervall; did you mean --check-interval?| service list"},
		{ARGS("service", "add", "a", "b", "--weight", "1"),
		 "service add: option --weight is not for this command;| service add"},
		{ARGS("status", "-x"), "status: unknown option -x;| status"},
		{ARGS("status", "--json=yes"), "status: option --json takes no value;| status"},
		{ARGS("service", "add", "a", "b", "--client", "c"),
		 "service add: option --client is not for this command;| service add"},
		{ARGS("top", "-n", "0"), "top: -n takes a number from 1, not 0;| top"},
		{ARGS("top", "--interval", "9ms"),
		 "top: --interval takes a time of at least 100ms, such as 2s, not 9ms;| top"},
		{ARGS("top", "--interval", "often"),
		 "top: --interval takes a time of at least 100ms, such as 2s, not often;| top"},
		{ARGS("monitor", "web"), "monitor: 'web' is one argument too many;| monitor"},
		{ARGS("monitor", "-n", "3x"), "monitor: -n takes a number from 1, not 3x;| monitor"},
		{ARGS("monitor", "-x"), "monitor: unknown option -x;| monitor"},
		{ARGS("apply", "-f", "/dev/null", "--if-generation", "x"),
		 "apply: --if-generation takes a number, not x;| apply"},
		{ARGS("apply", "-f", "/dev/null", "--if-generation="),
		 "apply: --if-generation takes a number, not \"\";| apply"},
		{ARGS("trace", "--from", "192.0.2.1"), "trace: unknown option --from;| trace"},
		{ARGS("trace"), "trace: say which packets, with --packet SPEC or --pcap-in FILE;| trace"},
		{ARGS("trace", "--packet", "foo > 10.0.0.2:80"),
		 "trace: --packet: foo is not an IPv4 or IPv6 address;| trace"},
		{ARGS("trace", "--packet", "udp 10.0.0.1 > 10.0.0.2:80/tcp"),
		 "trace: --packet: tcp is a second protocol; give one;| trace"},
		{ARGS("trace", "--packet", "sctp 10.0.0.1 > 10.0.0.2:80 fin"),
		 "trace: --packet: of SCTP there are syn, an INIT, and ack, a DATA chunk;| trace"},
		{ARGS("trace", "--packet", "udp 10.0.0.1 > 10.0.0.2:80 syn"),
		 "trace: --packet: only TCP has flags;| trace"},
		{ARGS("trace", "--packet", "10.0.0.1 > 10.0.0.2:80 tos=1"),
		 "trace: --packet: tos is not known (src, dst, sport, dport, proto, flags, len, ttl);| trace"},
		{ARGS("flows", "flush", "a", "b"), "flows flush: 'b' is one argument too many;| flows flush"},
		{ARGS("backend", "add", "web"), "backend add: ADDR[:PORT] is missing;| backend add"},
		{ARGS("backend", "set", "web", "a"), "backend set: say what to set, with an option;| backend set"},
		{ARGS("backend", "set", "web", "a", "--weight"),
		 "backend set: option --weight needs a value: --weight N;| backend set"},
		{ARGS("backend", "set", "web", "a", "--weight", "--tier", "1"),
		 "backend set: option --weight needs a value: --weight N;| backend set"},
		{ARGS("apply"), "apply: -f FILE is missing;| apply"},
		{ARGS("diff", "lbd.yaml"), "diff: 'lbd.yaml' is one argument too many;| diff"},
		{ARGS("diff", "-f", "a", "--dry-run"), "diff: option --dry-run is not for this command;| diff"},
		{ARGS("attach"), "attach: IFACE is missing;| attach"},
		{ARGS("service", "del", "\xff"), "service del: an argument is not UTF-8 text;| service del"},
		{ARGS("help", "servic"), "unknown command 'servic'; did you mean 'service'?|"},
	};
	char *answer = http(200, "{}"), want[512];
	struct seen s;

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		size_t first = strcspn(cases[i].err, "|");

		run(cases[i].args, NULL, answer, &s);
		snprintf(want, sizeof(want), "lbctl: %.*s see `lbctl help%s`\n", (int)first, cases[i].err,
			 cases[i].err + first + 1);
		same(cases[i].args, "stderr", s.err.data, want);
		same(cases[i].args, "stdout", s.out.data, "");
		same(cases[i].args, "the request", s.request.data, "");
		assert_int_equal(s.exit, 2);
		seen_fini(&s);
	}
	free(answer);
}

/* ---- refusals and failures ---- */

struct failure_case {
	const char *const *args;
	int status;	    /* of the answer; 0: @answer is raw */
	const char *answer; /* NULL: nobody listens */
	int exit;
	const char *err; /* @: the socket's path */
};

static void test_failures(void **state)
{
	const char *problem = "{\"type\":\"about:blank\",\"title\":\"Bad Request\",\"status\":400,"
			      "\"detail\":\"vip: 192.0.2.1:70000: 70000 is not a port (1-65535)\"}";
	const struct failure_case cases[] = {
		{ARGS("service", "add", "w", "192.0.2.1:70000"), 400, problem, 1,
		 "lbctl: vip: 192.0.2.1:70000: 70000 is not a port (1-65535)\n"},
		{ARGS("--json", "service", "add", "w", "192.0.2.1:70000"), 400, problem, 1,
		 "lbctl: vip: 192.0.2.1:70000: 70000 is not a port (1-65535)\n"},
		{ARGS("service", "del", "w"), 404, "{\"title\":\"Not Found\",\"detail\":\"no service w\"}", 1,
		 "lbctl: no service w\n"},
		{ARGS("status"), 500, "{\"title\":\"Internal Server Error\"}", 1, "lbctl: Internal Server Error\n"},
		{ARGS("export"), 502, "<html>", 1,
		 "lbctl: lbd answered with status 502 and no explanation; its log may have one\n"},
		{ARGS("backend", "list"), 404, "{\"detail\":\"gone\"}", 1, "lbctl: gone\n"},
		{ARGS("status"), 200, "{\"pid\":", 1,
		 "lbctl: lbd's answer is not JSON: unexpected token near end of file; are lbd and lbctl " LB_VERSION
		 " of one "
		 "version?\n"},
		{ARGS("apply", "-f", "-"), 200, "{}", 1,
		 "lbctl: lbd's answer is no list of changes; are lbd and lbctl " LB_VERSION " of one version?\n"},
		{ARGS("apply", "-f", "/nonexistent.yaml"), 200, "{}", 1,
		 "lbctl: cannot read /nonexistent.yaml: No such file or directory\n"},
		{ARGS("diff", "-f", "/tmp"), 200, "{}", 1, "lbctl: cannot read /tmp: Is a directory\n"},
		{ARGS("diff", "-f", "/dev/zero"), 200, "{}", 1,
		 "lbctl: /dev/zero is larger than 16 MiB, which is no configuration\n"},
		{ARGS("status"), 0, "", 3,
		 "lbctl: lbd at @ went away before it answered; 'lbctl export' shows whether the change was made\n"},
		{ARGS("status"), 0, "SSH-2.0-OpenSSH_9.2\r\n", 1,
		 "lbctl: what listens on @ is not lbd: it does not speak HTTP\n"},
		{ARGS("status"), 0, NULL, 3,
		 "lbctl: cannot reach lbd at @: No such file or directory; start it with 'lbd --socket @', or correct "
		 "--socket or LBD_SOCKET\n"},
		{ARGS("--socket", "/run/lbd/lbd.sock", "apply", "-f", "-"), 0, NULL, 3,
		 "lbctl: cannot reach lbd at /run/lbd/lbd.sock: No such file or directory; start it with 'systemctl "
		 "start lbd' "
		 "or 'lbd'\n"},
	};
	struct seen s;

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		const struct failure_case *c = &cases[i];
		char *answer = c->status ? http(c->status, c->answer) : c->answer ? strdup(c->answer) : NULL;
		char want[1024] = "";

		if (strstr(c->err, "/run/lbd/lbd.sock") && !access("/run/lbd/lbd.sock", F_OK)) {
			free(answer); /* an lbd of this machine's own is not to be disturbed */
			continue;
		}
		run(c->args, "services: []\n", answer, &s);
		for (const char *p = c->err; *p; p++)
			strncat(want, *p == '@' ? socket_path : p, *p == '@' ? sizeof(socket_path) : 1);
		same(c->args, "stderr", s.err.data, want);
		same(c->args, "stdout", s.out.data, "");
		assert_int_equal(s.exit, c->exit);
		seen_fini(&s);
		free(answer);
	}
}

static void test_permission(void **state)
{
	char *answer = http(200, "{}"), want[256];
	struct seen s;

	if (geteuid() != 0)
		skip(); /* nobody else can become somebody else */
	child_uid = 65534;
	run(ARGS("status"), NULL, answer, &s);
	child_uid = 0;
	snprintf(want, sizeof(want),
		 "lbctl: cannot reach lbd at %s: Permission denied; run as root or as a member of group lbd\n",
		 socket_path);
	same(ARGS("status"), "stderr", s.err.data, want);
	assert_int_equal(s.exit, 3);
	seen_fini(&s);
	free(answer);
}

/* ---- files ---- */

static void test_apply_file(void **state)
{
	const char *yaml = "services:\n  - {name: w, vip: 192.0.2.1:80}\n# \xc3\xa4\n";
	char name[80], want[256], *json = unquote("{'changed':false,'changes':[]}"), *answer = http(200, json);
	struct seen s;
	FILE *f;

	snprintf(name, sizeof(name), "%s/a b.yaml", dir);
	f = fopen(name, "w");
	assert_non_null(f);
	fputs(yaml, f);
	fclose(f);
	run(ARGS("apply", "--dry-run", "-f", name), NULL, answer, &s);
	snprintf(want, sizeof(want), "PUT /v1/config?name=%%2Ftmp%%2F%s%%2Fa%%20b.yaml&dry_run=1", dir + 5);
	check_request(ARGS("apply"), &s, want);
	same(ARGS("apply"), "the body", body_of(&s), yaml);
	assert_non_null(strcasestr(s.request.data, "\r\nContent-Type: application/yaml\r\n"));
	seen_fini(&s);

	run(ARGS("apply", "-f-"), yaml, answer, &s);
	check_request(ARGS("apply"), &s, "PUT /v1/config?name=stdin");
	same(ARGS("apply"), "the body", body_of(&s), yaml);
	seen_fini(&s);

	run(ARGS("apply", "-f", "-", "--if-generation", "12"), yaml, answer, &s);
	assert_int_equal(s.exit, 0);
	assert_non_null(strcasestr(s.request.data, "\r\nIf-Match: \"12\"\r\n"));
	seen_fini(&s);

	/* An empty file is lbd's to judge: it is sent as an empty body. */
	run(ARGS("diff", "--file=/dev/null"), NULL, answer, &s);
	check_request(ARGS("diff"), &s, "PUT /v1/config?name=%2Fdev%2Fnull&dry_run=1");
	same(ARGS("diff"), "the body", body_of(&s), "");
	assert_non_null(strcasestr(s.request.data, "\r\nContent-Length: 0\r\n"));
	seen_fini(&s);
	unlink(name);
	free(answer);
	free(json);
}

/* ---- help, and what has to keep up with it ---- */

static char *read_whole(const char *path)
{
	FILE *f = fopen(path, "r");
	struct text t = {0};
	char buf[4096];
	size_t n;

	if (!f)
		fail_msg("cannot read %s: %s; run this from the top of the tree", path, strerror(errno));
	text_add(&t, "", 0);
	while ((n = fread(buf, 1, sizeof(buf), f)))
		text_add(&t, buf, n);
	fclose(f);
	return t.data;
}

static int has_word(const char *text, const char *word)
{
	for (const char *p = text; (p = strstr(p, word)); p++)
		if ((p == text || !strchr("abcdefghijklmnopqrstuvwxyz-", p[-1])) &&
		    !strchr("abcdefghijklmnopqrstuvwxyz-", p[strlen(word)] ? p[strlen(word)] : ' '))
			return 1;
	return 0;
}

/* Each option that the help text @help lists is in the manual and in the completion. */
static void check_options(const char *help, const char *manual, const char *completion)
{
	char word[64], mdoc[80];
	int n = 0;

	for (const char *p = help; (p = strstr(p, "\n  ")); p++) {
		const char *option = strstr(p, "--");

		if (!option || option > p + 8) /* "-f, --file" at most before it */
			continue;
		snprintf(word, sizeof(word), "%.*s", (int)strcspn(option, " \n"), option);
		snprintf(mdoc, sizeof(mdoc), "Fl -%s", word + 2);
		if (!has_word(manual, mdoc))
			fail_msg("%s is not in docs/lbctl.8", word);
		if (!has_word(completion, word))
			fail_msg("%s is not in packaging/completions/bash/lbctl", word);
		n++;
	}
	assert_int_not_equal(n, 0);
}

static void test_help(void **state)
{
	char *manual = read_whole("docs/lbctl.8"), *completion = read_whole("packaging/completions/bash/lbctl");
	char first[32], second[32], mdoc[80];
	struct seen all, one;
	int commands = 0;

	run(ARGS("help"), NULL, NULL, &all);
	assert_int_equal(all.exit, 0);
	check_options(strstr(all.out.data, "options, before"), manual, completion);
	for (char *line = strstr(all.out.data, "commands:\n") + 10; *line == ' '; line = strchr(line, '\n') + 1) {
		int nr = sscanf(line, " %31[a-z] %31[a-z]", first, second);

		if (!strcmp(first, "service") || !strcmp(first, "backend")) {
			assert_int_equal(nr, 2);
			snprintf(mdoc, sizeof(mdoc), "Cm %s %s", first, second);
			run(ARGS("help", first, second), NULL, NULL, &one);
			assert_true(has_word(completion, second));
		} else {
			snprintf(mdoc, sizeof(mdoc), "Cm %s", first);
			run(ARGS(first, "--help"), NULL, NULL, &one);
		}
		if (!has_word(manual, mdoc))
			fail_msg("%s is not in docs/lbctl.8", mdoc);
		assert_true(has_word(completion, first));
		assert_int_equal(one.exit, 0);
		assert_non_null(strstr(one.out.data, "usage: lbctl "));
		if (strstr(one.out.data, "\noptions:\n"))
			check_options(strstr(one.out.data, "\noptions:\n"), manual, completion);
		seen_fini(&one);
		commands++;
	}
	assert_true(commands >= 20);
	seen_fini(&all);
	free(manual);
	free(completion);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_requests_service), cmocka_unit_test(test_requests_check),
		cmocka_unit_test(test_requests_backend), cmocka_unit_test(test_requests_read),
		cmocka_unit_test(test_requests_trace),	 cmocka_unit_test(test_socket_option),
		cmocka_unit_test(test_request_headers),	 cmocka_unit_test(test_usage),
		cmocka_unit_test(test_failures),	 cmocka_unit_test(test_permission),
		cmocka_unit_test(test_apply_file),	 cmocka_unit_test(test_help),
	};

	signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests_name("cli", tests, setup, teardown);
}
