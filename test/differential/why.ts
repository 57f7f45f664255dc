// Does our `why` say what the kernel said? The words of nf_conntrack_log_invalid beside ours, with their numbers.
//
// Where `why` goes on after its word, what follows is the kernel's message itself. Where it does not, the message holds
// nothing that the word does not say, and stands here.

/** Kernel messages of the words that carry none. */
const MESSAGES: Record<string, readonly string[]> = {
  'invalid-checksum': ['bad checksum', 'bad hw icmp checksum', 'ICMPv6 checksum failed', 'nf_ct_sctp: bad CRC'],
  'invalid-tcp-flags': ['invalid tcp flag combination'],
  'invalid-new': ['invalid new'],
  'invalid-rst': ['invalid rst'],
  'challenge-ack-ignored': ['challenge-ack ignored'],
  'checksum-missing': ['checksum missing'],
  // ICMP of a type beyond NR_ICMP_TYPES; of one that begins nothing and answers nothing the kernel is silent.
  'icmp-invalid-type': ['invalid icmp type'],
  // A header of less than eight bytes (four for TCP) is met before any tracker: the kernel says nothing.
  'truncated-header': ['short packet', 'truncated packet', 'truncated/malformed packet', 'nf_ct_sctp: short packet'],
};

/** Words of which the kernel says nothing: it counts them (`conntrack -S`) at most. */
const SILENT = new Set([
  'truncated-header',
  'not-loose',
  'icmp-invalid-new',
  'icmp-invalid-type',
  'icmp-error-short',
  'icmp-error-unknown-protocol',
  'icmp-error-no-flow',
  'sctp-invalid-new',
  'wrong-chunk-tag',
  'gre-not-ppp',
]);

/** A helper that drops without a word: SIP behind NAT, of a session description without an owner (o=). */
const SILENT_HELPER = 'dropped-by-helper';

/** Words of what happens to a packet after conntrack: they stand in place of what conntrack said. */
const LATER = new Set([
  'ttl-exceeded',
  'mtu-exceeded',
  'no-route',
  'route-blackhole',
  'route-unreachable',
  'route-prohibit',
  'table-full',
  'not-for-us',
  'martian',
  'nat-no-address',
  'nat-clash',
  'nat-untranslatable',
  'beyond-scope',
  'seq-adjust-failed',
]);

/** Addresses of an ICMP error that is sent to another than whom it quotes. */
const WRONG_SENDER = /^outer daddr \S+ != inner \S+$/;

/** True if our `why` and the kernel's message (undefined: it said nothing) are the same. */
export function sameWhy(kernel: string | undefined, ours: string | undefined): boolean {
  const [, word = '', message] = /^([^:]+)(?:: (.*))?$/.exec(ours ?? '') ?? [];
  if (LATER.has(word)) return true;
  if (kernel === undefined) return word === '' || SILENT.has(word) || ours === SILENT_HELPER;
  if (word === 'icmp-error-wrong-sender') return WRONG_SENDER.test(kernel);
  const known = MESSAGES[word];
  return known ? known.includes(kernel) : message === kernel;
}
