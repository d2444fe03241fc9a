/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Every verdict of the dataplane: X(ID, name, action, help). The name is the `verdict` label of
 * lb_packets_total and what `lbctl trace` prints; its prefix says what became of the packet.
 * Append only: the position is part of the ABI.
 */
#ifndef LB_VERDICT_H
#define LB_VERDICT_H

#define LB_VERDICTS(X)                                                                                                 \
	X(FORWARDED, "forwarded", TX, "sent to a backend")                                                             \
	X(PASS_NOT_IP, "pass_not_ip", PASS, "neither IPv4 nor IPv6 (ARP, VLAN, ...)")                                  \
	X(PASS_OTHER_HOST, "pass_other_host", PASS, "a frame to another MAC address than the interface's")             \
	X(PASS_TRUNCATED, "pass_truncated", PASS, "too short for the headers it announces")                            \
	X(PASS_PROTOCOL, "pass_protocol", PASS, "a transport protocol that no service can have")                       \
	X(PASS_FRAGMENT, "pass_fragment", PASS, "a later fragment, whose first one was not seen")                            \
	X(PASS_EXTENSION, "pass_extension", PASS, "an IPv6 extension header chain not followed")                       \
	X(PASS_NO_SERVICE, "pass_no_service", PASS, "not addressed to a service")                                      \
	X(DROP_MALFORMED, "drop_malformed", DROP, "for a service, with lengths that do not agree")                     \
	X(DROP_FRAGMENT, "drop_fragment", DROP, "for a service, a first fragment")                                     \
	X(DROP_NO_BACKEND, "drop_no_backend", DROP, "its service has no usable backend")                               \
	X(DROP_NO_NEXT_HOP, "drop_no_next_hop", DROP, "its backend's next hop is not resolved")                        \
	X(DROP_TOO_BIG, "drop_too_big", DROP, "does not fit the next hop's MTU when forwarded, and nobody was told")                        \
	X(DROP_TTL_EXCEEDED, "drop_ttl_exceeded", DROP, "its TTL or hop limit is used up")                             \
	X(DROP_NO_HEADROOM, "drop_no_headroom", DROP, "the driver left no room for the outer header")                  \
	X(DROP_TCP_FLAGS, "drop_tcp_flags", DROP, "for a service, with TCP flags that no host sets together")          \
	X(DROP_LAND, "drop_land", DROP, "for a service, from the VIP's own address and port")                          \
	X(DROP_MARTIAN, "drop_martian", DROP, "for a service, from an address that no host can have")            \
	X(DROP_DENIED, "drop_denied", DROP, "from a source that its service does not let in")                          \
	X(DROP_RATE, "drop_rate", DROP, "its source opens connections faster than its service lets it") \
	X(FORWARDED_ICMP, "forwarded_icmp", TX, "an ICMP error, sent to the backend of the flow that it is about")     \
	X(DROP_FRAGMENT_TINY, "drop_fragment_tiny", DROP, "for a service, a first fragment that ends too early") \
	X(DROP_FRAGMENT_OVERLAP, "drop_fragment_overlap", DROP, "for a service, a fragment over the transport header") \
	X(ANSWERED_TOO_BIG, "answered_too_big", TX, "too big for the next hop's MTU, and its sender was told")        \
	X(ANSWERED_ECHO, "answered_echo", TX, "an echo request to a VIP, answered")                                    \
	X(REPLIED, "replied", TX, "a backend's answer, translated back and sent to the client")                        \
	X(DROP_NAT_NO_ENTRY, "drop_nat_no_entry", DROP, "for a service that translates, of no connection it knows")    \
	X(DROP_NAT_FULL, "drop_nat_full", DROP, "a new connection that there is no room for among the translated ones") \
	X(DROP_SNAT_FULL, "drop_snat_full", DROP, "a new connection to a backend that all of snat's ports are used to") \
	X(DROP_NAT_IMPOSSIBLE, "drop_nat_impossible", DROP, "of another family than its backend, with what that lacks") \
	X(REPLIED_ICMP, "replied_icmp", TX, "an ICMP error about a translated packet, translated back for its client")

enum lb_verdict {
#define X(id, name, action, help) LB_V_##id,
	LB_VERDICTS(X)
#undef X
		LB_V_COUNT
};

enum lb_action { LB_ACTION_PASS, LB_ACTION_TX, LB_ACTION_DROP };

#endif
