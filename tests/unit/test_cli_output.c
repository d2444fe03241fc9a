// SPDX-License-Identifier: GPL-2.0-or-later
/* What lbctl prints of lbd's answers, for people and as JSON. */
#include "fake_lbd.h"

struct output_case {
	const char *const *args;
	const char *answer;
	int exit;
	const char *out;
};

#define BACKEND(addr, admin, health, reason, share, nh)                                                                \
	"{'address':'" addr "','weight':100,'tier':0,'state':'" admin "','status':{'health':'" health                  \
	"','reason':'" reason "','since':'2026-01-01T00:00:00Z','serving':true,'share':" share                         \
	",'active_connections':12,'packets':3400,'bytes':1,'connections':56,'next_hop':" nh "}}"
#define SERVICE(name, vips, backends)                                                                                  \
	"{'name':'" name "','vip':[" vips                                                                              \
	"],'forward':'ipip','policy':'maglev','state':'auto','check':{'type':'http',"                                  \
	"'path':'/health','port':8080,'host':'h','expect_status':'200-299','expect_body':'ok','interval':'2s',"        \
	"'timeout':'1s','rise':2,'fall':3},'panic_threshold':30,'backends':[" backends                                 \
	"],'status':{'state':'degraded',"                                                                              \
	"'reason':'one is down','tier':0,'table_slots':512,'table_digest':'0123456789abcdef','slots':{'stable':510,"   \
	"'moving':1,'settling':1},'packets':123456789,'bytes':98765432109876,'connections':9999999}}"
#define WEB                                                                                                            \
	SERVICE("web", "'192.0.2.10:80/tcp','[2001:db8::10]:80/tcp'",                                                  \
		BACKEND("10.0.0.11:80", "enabled", "up", "ok", "0.5004",                                               \
			"{'interface':'eth0','mac':'02:00:00:00:00:01','mtu':1500}") "," BACKEND("[2001:db8::12]:80",  \
												 "draining", "down",   \
												 "timeout", "0",       \
												 "null"))
#define IDLE                                                                                                           \
	"{'name':'idle','vip':['192.0.2.11:53/udp'],'forward':'l2','backends':[],'check':{'type':'none'},"             \
	"'status':{'state':'down'}}"
#define CHANGES                                                                                                        \
	"{'changed':true,'changes':[{'op':'add','path':'services[a]','from':null,'to':null},"                          \
	"{'op':'add','path':'interfaces[eth0]','from':null,'to':'auto'},"                                              \
	"{'op':'remove','path':'services[b].backends[10.0.0.1:80]','from':null,'to':null},"                            \
	"{'op':'change','path':'services[c].backends[10.0.0.1:80].weight','from':'50','to':'100'}]}"
#define NO_CHANGES "{'changed':false,'changes':[]}"
#define STATUS                                                                                                         \
	"{'version':'0.1.0','abi':1,'pid':4711,'uptime_seconds':3725.9,'ready':true,'adopted':true,"                   \
	"'program_tag':'0123456789abcdef','generation':7,'last_apply':{'success':false,'time':'2026-01-01T00:00:00Z'," \
	"'origin':'reload','by':null,'error':'lbd.yaml:14: "                                                           \
	"no'},'interfaces':[{'name':'eth0','ifindex':2,'mode':'native','configured_mode':'auto',"                      \
	"'shared':true,'attached':true,'note':''},{'name':'eth1','mode':'generic','attached':true,'shared':false,"     \
	"'note':'the driver has no native XDP'},{'name':'eth2','attached':false,'note':'no such interface'}],"         \
	"'services':{'total':2,'up':1},'backends':{'total':3,'serving':2},'flows':{'entries':5,'capacity':1048576},"   \
	"'verdicts':{'forwarded':31415,'pass_not_ip':3,'drop_malformed':0,'drop_no_backend':4,'drop_too_big':2}}"
#define FRESH                                                                                                          \
	"{'version':'0.1.0','abi':1,'pid':1,'uptime_seconds':59,'ready':false,'adopted':false,'program_tag':'ab',"     \
	"'generation':0,'last_apply':{'success':true,'time':'','error':''},'interfaces':[],"                           \
	"'services':{'total':0,'up':0},'backends':{'total':0,'serving':0},'flows':{'entries':0,'capacity':8},"         \
	"'verdicts':{'forwarded':0}}"

#define EVENT(rest) "{'seq':7,'time':'2026-01-01T00:00:00.123Z'," rest "}\n"

static void check_outputs(const struct output_case *cases, size_t nr)
{
	struct seen s;

	for (size_t i = 0; i < nr; i++) {
		char *json = cases[i].answer ? unquote(cases[i].answer) : NULL, *answer = json ? http(200, json) : NULL;

		run(cases[i].args, "services: []\n", answer, &s);
		same(cases[i].args, "stderr", s.err.data, "");
		same(cases[i].args, "stdout", s.out.data, cases[i].out);
		assert_int_equal(s.exit, cases[i].exit);
		seen_fini(&s);
		free(answer);
		free(json);
	}
}

static void test_output_live(void **state)
{
	const struct output_case cases[] = {
		{ARGS("monitor"),
		 EVENT("'type':'health','service':'web','backend':'10.0.0.1:80','from':'up','to':'down','reason':'"
		       "refused'") "\n" EVENT("'type':'next_hop','address':'10.0.0.1','to':'lost'")
			 EVENT("'type':'config_applied','origin':'api','generation':7,'count':1,'by':{'uid':0,"
			       "'login_uid':4294967294,'pid':4711}") EVENT("'type':'config_applied','origin':'api','"
									   "generation':7,'count':1,'by':{'uid':0}")
				 EVENT("'type':'config_applied','origin':'reload','generation':7,'count':1")
					 EVENT("'type':'interface','interface':'eth0','from':'detached','to':'native'")
						 EVENT("'type':'started','to':'0.1.0','generation':7")
							 EVENT("'type':'lost','count':12"),
		 0,
		 "2026-01-01T00:00:00.123Z  health           web 10.0.0.1:80: up -> down (refused)\n"
		 "2026-01-01T00:00:00.123Z  next_hop         10.0.0.1: lost\n"
		 "2026-01-01T00:00:00.123Z  config_applied   by api (uid 4294967294 as root), 1 change, generation 7\n"
		 "2026-01-01T00:00:00.123Z  config_applied   by api (root), 1 change, generation 7\n"
		 "2026-01-01T00:00:00.123Z  config_applied   by reload, 1 change, generation 7\n"
		 "2026-01-01T00:00:00.123Z  interface        eth0: detached -> native\n"
		 "2026-01-01T00:00:00.123Z  started          0.1.0, generation 7\n"
		 "2026-01-01T00:00:00.123Z  lost             12 events\n"},
		{ARGS("flows"),
		 "{'entries':12,'capacity':1048576,'translated':4,'flows':[{'service':'nat','backend':'10.0.0.3:80',"
		 "'entries':0,'proven':0,'translated':4},{'service':'web','backend':'10.0.0.1:80','entries':12,"
		 "'proven':3,'translated':0}]}",
		 0,
		 "SERVICE BACKEND     FLOWS PROVEN TRANSLATED\n"
		 "nat     10.0.0.3:80     0      0          4\n"
		 "web     10.0.0.1:80    12      3          0\n"},
		{ARGS("flows", "--client", "10.0.0.9"),
		 "{'entries':2,'capacity':1048576,'unsearched':[],'flows':[{'service':'web','vip':'192.0.2.10:80/tcp',"
		 "'client':'10.0.0.9:5000','backend':'10.0.0.1:80','proven':true,'closed':false,'idle_seconds':68,"
		 "'state':null,'snat':null},{'service':'nat','vip':'192.0.2.11:80/tcp','client':'10.0.0.9:5001',"
		 "'backend':'10.0.0.3:80','proven':true,'closed':true,'idle_seconds':4,'state':'closing',"
		 "'snat':'10.0.0.2:2048'}]}",
		 0,
		 "SERVICE VIP               CLIENT        BACKEND     PROVEN CLOSED IDLE-S STATE   SNAT\n"
		 "web     192.0.2.10:80/tcp 10.0.0.9:5000 10.0.0.1:80 yes    no         68 -       -\n"
		 "nat     192.0.2.11:80/tcp 10.0.0.9:5001 10.0.0.3:80 yes    yes         4 closing 10.0.0.2:2048\n"},
		{ARGS("flows", "--count"), "{'entries':12,'capacity':1048576,'flows':[]}", 0, "12\n"},
		{ARGS("flows", "flush"), "{'flushed':12}", 0, ""},
		{ARGS("monitor", "-n", "1", "--json"), EVENT("'type':'x'") EVENT("'type':'y'"), 0,
		 "{\"seq\":7,\"time\":\"2026-01-01T00:00:00.123Z\",\"type\":\"x\"}\n"},
	};

	check_outputs(cases, sizeof(cases) / sizeof(*cases));
}

static void test_output_services(void **state)
{
	const struct output_case cases[] = {
		{ARGS("service", "list"), "{'services':[" IDLE "," WEB "]}", 0,
		 "NAME VIP                  FORWARD STATE    BACKENDS   CONNS PKTS  BYTES\n"
		 "idle 192.0.2.11:53/udp    l2      down          0/0       0    0      0\n"
		 "web  192.0.2.10:80/tcp +1 ipip    degraded      1/2 9999999 123M 98765G\n"},
		{ARGS("service", "list"), "{'services':[]}", 0, "NAME VIP FORWARD STATE BACKENDS CONNS PKTS BYTES\n"},
		{ARGS("service", "show", "web"), WEB, 0,
		 "name         web\n"
		 "vip          192.0.2.10:80/tcp\n"
		 "             [2001:db8::10]:80/tcp\n"
		 "forward      ipip, policy maglev, state auto\n"
		 "check        http /health on port 8080 every 2s, timeout 1s, rise 2, fall 3\n"
		 "             expects 200-299 and \"ok\", host h\n"
		 "panic        below 30 % of the backends up\n"
		 "status       degraded, 1/2 backends up, tier 0 serves: one is down\n"
		 "table        512 slots: 510 stable, 1 moving, 1 settling; digest 0123456789abcdef\n"
		 "traffic      9999999 connections, 123M packets, 98765G bytes\n"
		 "\n"
		 "ADDRESS           STATE    HEALTH REASON  WEIGHT TIER SHARE ACTIVE CONNS NEXT-HOP\n"
		 "10.0.0.11:80      enabled  up     ok         100    0 50.0%     12    56 eth0 02:00:00:00:00:01\n"
		 "[2001:db8::12]:80 draining down   timeout    100    0  0.0%     12    56 unresolved\n"},
		{ARGS("service", "show", "t"),
		 "{'name':'t','vip':['1.2.3.4:5/"
		 "tcp'],'forward':'l2','policy':'maglev','state':'none','check':{'type':'tcp',"
		 "'path':'/"
		 "','port':null,'host':'','interval':'2s','timeout':'1s','rise':2,'fall':3,'expect_status':'200-399'},"
		 "'panic_threshold':0,'backends':[],'status':{'state':'down','reason':'','tier':0,'table_slots':0,"
		 "'table_digest':'00','slots':{'stable':0,'moving':0,'settling':0},'packets':0,'bytes':0,'connections':"
		 "0,'healthy':1,'routes':[{'route':'1.2.3.4','announced':true,'reason':''},{'route':'1.2.3.0/24',"
		 "'announced':false,'reason':'too few backends are healthy'}]},'quorum':2}",
		 0,
		 "name         t\n"
		 "vip          1.2.3.4:5/tcp\n"
		 "forward      l2, policy maglev, state none\n"
		 "check        tcp every 2s, timeout 1s, rise 2, fall 3\n"
		 "status       down, 0/0 backends up\n"
		 "announced    1.2.3.4\n"
		 "             1.2.3.0/24: no, too few backends are healthy\n"
		 "             1 healthy, quorum 2\n"
		 "table        0 slots: 0 stable, 0 moving, 0 settling; digest 00\n"
		 "traffic      0 connections, 0 packets, 0 bytes\n"},
	};

	check_outputs(cases, sizeof(cases) / sizeof(*cases));
}

/* What is only shown where it is not the default. */
static void test_output_options(void **state)
{
	const struct output_case cases[] = {
		{ARGS("service", "show", "o"),
		 "{'name':'o','vip':['192.0.2.0/28:*/udp'],'forward':'gue','gue_port':6081,'policy':'random','state':"
		 "'auto','affinity':{'by':'source','timeout':'10m','ipv4_prefix':24,'ipv6_prefix':64},'on_down':'keep',"
		 "'on_disable':'keep','allow':['10.0.0.0/8','10.1.0.0/16'],'deny':['10.0.0.1','10.0.0.2','10.0.0.3',"
		 "'10.0.0.4','10.0.0.5','10.0.0.6','10.0.0.7'],'snat':['10.0.0.254'],'source_rate_limit':5,'ping':true,"
		 "'mss_clamp':1400,'quic':{'configs':[{'id':0,'server_id_length':4,'nonce_length':8,'self_length':true}"
		 ","
		 "{'id':1,'server_id_length':4,'nonce_length':6,'self_length':false}]},'check':{'type':'none'},"
		 "'panic_threshold':0,'backends':[],'status':{'state':'down','reason':'','tier':0,'table_slots':0,"
		 "'table_digest':'00','slots':{'stable':0,'moving':0,'settling':0},'packets':0,'bytes':0,'connections':"
		 "0}}",
		 0,
		 "name         o\n"
		 "vip          192.0.2.0/28:*/udp\n"
		 "forward      gue, policy random, state auto\n"
		 "             to UDP port 6081\n"
		 "snat         10.0.0.254\n"
		 "affinity     source, IPv4 /24, IPv6 /64, until silent for 10m\n"
		 "on down      keep connections\n"
		 "on disable   keep connections\n"
		 "allow        10.0.0.0/8 10.1.0.0/16\n"
		 "deny         10.0.0.1 10.0.0.2 10.0.0.3 10.0.0.4 10.0.0.5 and 2 more\n"
		 "source rate  at most 5 new connections a second\n"
		 "ping         answered\n"
		 "mss          at most 1400 bytes\n"
		 "quic         configuration 0: server ID of 4 bytes, nonce of 8, says its length\n"
		 "             configuration 1: server ID of 4 bytes, nonce of 6\n"
		 "check        none\n"
		 "status       down, 0/0 backends up\n"
		 "table        0 slots: 0 stable, 0 moving, 0 settling; digest 00\n"
		 "traffic      0 connections, 0 packets, 0 bytes\n"},
		{ARGS("service", "show", "o"),
		 "{'name':'o','vip':['1.2.3.4:5/"
		 "tcp'],'forward':'ipip','gue_port':6080,'policy':'maglev','state':'auto',"
		 "'affinity':{'by':'none','timeout':'none','ipv4_prefix':32,'ipv6_prefix':128},'on_down':'terminate',"
		 "'on_disable':'terminate','allow':[],'deny':[],'snat':[],'source_rate_limit':0,'ping':false,'mss_"
		 "clamp':"
		 "'none','quic':{'configs':[]},'check':{'type':'none'},'panic_threshold':0,'backends':[],'status':{'"
		 "state':"
		 "'down','reason':'','tier':0,'table_slots':0,'table_digest':'00','slots':{'stable':0,'moving':0,"
		 "'settling':0},'packets':0,'bytes':0,'connections':0}}",
		 0,
		 "name         o\n"
		 "vip          1.2.3.4:5/tcp\n"
		 "forward      ipip, policy maglev, state auto\n"
		 "check        none\n"
		 "status       down, 0/0 backends up\n"
		 "table        0 slots: 0 stable, 0 moving, 0 settling; digest 00\n"
		 "traffic      0 connections, 0 packets, 0 bytes\n"},
	};

	check_outputs(cases, sizeof(cases) / sizeof(*cases));
}

static void test_output_status(void **state)
{
	const struct output_case cases[] = {
		{ARGS("backend", "list"), "{'services':[" IDLE "," WEB "]}", 0,
		 "SERVICE ADDRESS           STATE    HEALTH REASON  WEIGHT TIER SHARE ACTIVE CONNS NEXT-HOP\n"
		 "web     10.0.0.11:80      enabled  up     ok         100    0 50.0%     12    56 eth0 "
		 "02:00:00:00:00:01\n"
		 "web     [2001:db8::12]:80 draining down   timeout    100    0  0.0%     12    56 unresolved\n"},
		{ARGS("status"), STATUS, 0,
		 "lbd          0.1.0, pid 4711, up 1h 2m, ready, took over a running dataplane\n"
		 "program      0123456789abcdef, abi 1\n"
		 "generation   7, last change refused 2026-01-01T00:00:00Z by reload:\n"
		 "             lbd.yaml:14: no\n"
		 "interfaces   eth0: native, beside other programs\n"
		 "             eth1: generic; the driver has no native XDP\n"
		 "             eth2: not attached; no such interface\n"
		 "services     1 of 2 up\n"
		 "backends     2 of 3 serving\n"
		 "flows        5 of 1048576 entries\n"
		 "forwarded    31415 packets\n"
		 "dropped      4 drop_no_backend (its service has no usable backend)\n"
		 "             2 drop_too_big (does not fit the next hop's MTU when forwarded, and nobody was told)\n"},
		{ARGS("status"), FRESH, 0,
		 "lbd          0.1.0, pid 1, up 59s, not ready\n"
		 "program      ab, abi 1\n"
		 "generation   0, last change made\n"
		 "interfaces   none; 'lbctl attach IFACE' adds one\n"
		 "services     0 of 0 up\n"
		 "backends     0 of 0 serving\n"
		 "flows        0 of 8 entries\n"
		 "forwarded    0 packets\n"
		 "dropped      0\n"},
	};

	check_outputs(cases, sizeof(cases) / sizeof(*cases));
}

static void test_output_changes(void **state)
{
	const struct output_case cases[] = {
		{ARGS("apply", "-f", "-"), CHANGES, 0, "4 changes\n"},
		{ARGS("apply", "-f", "-"), NO_CHANGES, 0, "no changes\n"},
		{ARGS("apply", "-f", "-", "--dry-run"), CHANGES, 0,
		 "+ services[a]\n"
		 "+ interfaces[eth0]: auto\n"
		 "- services[b].backends[10.0.0.1:80]\n"
		 "~ services[c].backends[10.0.0.1:80].weight: 50 -> 100\n"
		 "4 changes, not made\n"},
		{ARGS("diff", "-f", "-"), CHANGES, 1,
		 "+ services[a]\n"
		 "+ interfaces[eth0]: auto\n"
		 "- services[b].backends[10.0.0.1:80]\n"
		 "~ services[c].backends[10.0.0.1:80].weight: 50 -> 100\n"},
		{ARGS("diff", "-f", "-"), NO_CHANGES, 0, ""},
		{ARGS("version"), STATUS, 0, "lbctl " LB_VERSION "\nlbd   0.1.0\n"},
		{ARGS("version"), NULL, 0, "lbctl " LB_VERSION "\nlbd   (cannot be reached)\n"},
		/* Done is said by saying nothing. */
		{ARGS("attach", "eth0"), "{'name':'eth0','mode':'native','note':''}", 0, ""},
		{ARGS("service", "add", "w", "v"), IDLE, 0, ""},
		{ARGS("backend", "drain", "w", "a"), "{}", 0, ""},
		{ARGS("service", "del", "w"), "", 0, ""},
	};

	check_outputs(cases, sizeof(cases) / sizeof(*cases));
}

/* With --json the API's document comes out as one document, also after a change. */
static void test_json(void **state)
{
	const struct output_case cases[] = {
		{ARGS("--json", "status"), STATUS, 0, STATUS},
		{ARGS("service", "list", "--json"), "{'services':[" IDLE "]}", 0, "{'services':[" IDLE "]}"},
		{ARGS("service", "show", "idle", "--json"), IDLE, 0, IDLE},
		{ARGS("backend", "list", "idle", "--json"), IDLE, 0, "{'backends':[]}"},
		{ARGS("backend", "list", "--json"), "{'services':[{'name':'w','backends':[{'address':'a'}]}]}", 0,
		 "{'backends':[{'service':'w','address':'a'}]}"},
		{ARGS("--json", "service", "add", "w", "v"), IDLE, 0, IDLE},
		{ARGS("--json", "attach", "eth0"), "{'name':'eth0','note':'no native XDP'}", 0,
		 "{'name':'eth0','note':'no native XDP'}"},
		{ARGS("--json", "service", "del", "w"), "", 0, "{}"},
		{ARGS("--json", "export"), "{'services':[]}", 0, "{'services':[]}"},
		{ARGS("--json", "apply", "-f", "-"), CHANGES, 0, CHANGES},
		{ARGS("--json", "diff", "-f", "-"), CHANGES, 1, CHANGES},
		{ARGS("--json", "version"), STATUS, 0, "{'lbctl':'" LB_VERSION "','lbd':'0.1.0','abi':1}"},
		{ARGS("--json", "version"), NULL, 0, "{'lbctl':'" LB_VERSION "','lbd':null,'abi':null}"},
	};
	struct seen s;

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		char *json = cases[i].answer ? unquote(cases[i].answer) : NULL, *answer = json ? http(200, json) : NULL;
		char *text = unquote(cases[i].out);
		json_t *want = json_loads(text, 0, NULL), *got;

		run(cases[i].args, "", answer, &s);
		same(cases[i].args, "stderr", s.err.data, "");
		got = json_loads(s.out.data, JSON_REJECT_DUPLICATES, NULL);
		if (!want || !json_equal(want, got))
			same(cases[i].args, "stdout", s.out.data, text);
		assert_int_equal(s.exit, cases[i].exit);
		json_decref(want);
		json_decref(got);
		seen_fini(&s);
		free(text);
		free(answer);
		free(json);
	}
}

static void test_attach_notes(void **state)
{
	const struct {
		const char *answer, *err;
	} cases[] = {
		{"{'name':'eth0','mode':'generic','note':'no native XDP'}", "lbctl: warning: eth0: no native XDP\n"},
		{"{'name':'eth0','mode':'native','note':'single program'}", "lbctl: note: eth0: single program\n"},
	};
	struct seen s;

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		char *json = unquote(cases[i].answer), *answer = http(201, json);

		run(ARGS("attach", "eth0"), NULL, answer, &s);
		assert_int_equal(s.exit, 0);
		same(ARGS("attach", "eth0"), "stderr", s.err.data, cases[i].err);
		same(ARGS("attach", "eth0"), "stdout", s.out.data, "");
		seen_fini(&s);
		free(answer);
		free(json);
	}
}

static void writes_nowhere(const char *const *args, const char *body)
{
	char *json = unquote(body), *answer = http(200, json);
	struct seen s;

	stdout_path = "/dev/full";
	run(args, NULL, answer, &s);
	stdout_path = NULL;
	assert_int_equal(s.exit, 1);
	same(args, "stderr", s.err.data, "lbctl: cannot write what was asked for: No space left on device\n");
	seen_fini(&s);
	free(answer);
	free(json);
}

static void test_full_disk(void **state)
{
	writes_nowhere(ARGS("status"), STATUS);
	writes_nowhere(ARGS("diff", "-f", "-"), CHANGES);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_output_live),    cmocka_unit_test(test_output_services),
		cmocka_unit_test(test_output_options), cmocka_unit_test(test_output_status),
		cmocka_unit_test(test_output_changes), cmocka_unit_test(test_json),
		cmocka_unit_test(test_attach_notes),   cmocka_unit_test(test_full_disk),
	};

	signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests_name("cli_output", tests, setup, teardown);
}
