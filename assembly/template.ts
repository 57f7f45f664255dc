// What does a CT rule give to a packet and to the entry that it begins: zone, helper and event masks?
//
// The kernel hangs a template, an entry outside the table, on the packet (net/netfilter/xt_CT.c); connection tracking
// takes the zone from it (nf_ct_zone_tmpl()) and gives a new entry its event masks and its helper (init_conntrack()).

import { set_reply_zone } from "./flow-table";
import { Flow, Packet, Template, World } from "./layout";
import { Helper, TemplateFlag } from "./vocabulary";

// @ts-ignore: decorator
@inline function template_of(w: World, number: u32): Template {
  return changetype<Template>(<usize>w.templates + <usize>(number - 1) * offsetof<Template>());
}

// @ts-ignore: decorator
@inline function zone_of(t: Template, p: Packet, direction: u32): u16 {
  if (!(t.flags & direction)) return 0;
  return t.flags & TemplateFlag.ZONE_MARK ? <u16>p.mark : t.zone;
}

/** Gives the packet its zones before its flow is looked up. */
export function enter_zone(w: World, p: Packet): void {
  p.zone = 0;
  let reply: u16 = 0;
  if (p.template) {
    const t = template_of(w, p.template);
    p.zone = zone_of(t, p, TemplateFlag.ZONE_ORIGINAL);
    reply = zone_of(t, p, TemplateFlag.ZONE_REPLY);
  }
  set_reply_zone(reply);
}

/** Completes an entry that was begun for a packet of these zones. */
export function begin_with_template(w: World, flow: Flow, p: Packet): void {
  flow.reply_zone = p.template ? zone_of(template_of(w, p.template), p, TemplateFlag.ZONE_REPLY) : 0;
  flow.template = p.template;
}

/** The helper that the packet's CT rule gives to the entry that it begins. */
export function template_helper(w: World, p: Packet): u32 {
  return p.template ? template_of(w, p.template).helper : <u32>Helper.NONE;
}

/** Which events of the entry's expectations are announced. */
export function template_expevents(w: World, flow: Flow): u32 {
  return flow.template ? template_of(w, flow.template).expevents : <u32>-1;
}

/** Is one of these events of the entry announced (kernel: __nf_conntrack_eventmask_report())? */
// @ts-ignore: decorator
@inline export function is_announced(w: World, flow: Flow, bits: u32): bool {
  return w.templates == 0 || flow.template == 0 || (template_of(w, flow.template).ctevents & bits) != 0;
}
