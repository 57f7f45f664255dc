// What emitted rule code calls in the engine. assembly/index.ts exports all of it. Records come as addresses: exported
// functions that take classes would pull in the managed runtime.

export { rule_connbytes, rule_ct_counter } from "./connbytes";
export { rule_connlabel } from "./connlabel";
export { rule_connlimit } from "./connlimit";
export { rule_restore_mark, rule_save_mark, rule_set_ct_mark } from "./connmark";
export { rule_candidates, rule_more_candidates } from "./dispatch";
export { rule_hashlimit } from "./hashlimit";
export { rule_give_helper, rule_helper } from "./helper";
export { rule_ip_set } from "./ip-set";
export { rule_limit } from "./limit";
export { rule_log } from "./log";
export { rule_nat, rule_nat_range } from "./nat";
export { rule_owner } from "./owner";
export { rule_allowance } from "./allowance";
export { rule_recent } from "./recent";
export { rule_fib_oif, rule_fib_type, rule_route_types } from "./route";
export { rule_rpfilter } from "./rpfilter";
export { rule_lower_mss, rule_set_mss } from "./set-mss";
export { rule_sctp_chunks } from "./sctp-chunks";
export { rule_add, rule_look_up, rule_look_up_live, rule_remove } from "./set";
export { rule_chance, rule_nth } from "./statistic";
export { rule_next_number, rule_quota, rule_random, rule_tokens } from "./tokens";
export { rule_tcp_mss, rule_tcp_option } from "./tcp-option";
