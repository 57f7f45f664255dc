// What emitted rule code calls in the engine. assembly/index.ts exports all of it. Records come as addresses: exported
// functions that take classes would pull in the managed runtime.

export { rule_connbytes } from "./connbytes";
export { rule_connlabel } from "./connlabel";
export { rule_connlimit } from "./connlimit";
export { rule_restore_mark, rule_save_mark, rule_set_ct_mark } from "./connmark";
export { rule_candidates, rule_more_candidates } from "./dispatch";
export { rule_hashlimit } from "./hashlimit";
export { rule_helper } from "./helper";
export { rule_ip_set } from "./ip-set";
export { rule_limit } from "./limit";
export { rule_log } from "./log";
export { rule_nat } from "./nat";
export { rule_owner } from "./owner";
export { rule_quota } from "./quota";
export { rule_recent } from "./recent";
export { rule_route_types } from "./route";
export { rule_rpfilter } from "./rpfilter";
export { rule_set_mss } from "./set-mss";
export { rule_sctp_chunks } from "./sctp-chunks";
export { rule_chance, rule_nth } from "./statistic";
export { rule_tcp_mss, rule_tcp_option } from "./tcp-option";
