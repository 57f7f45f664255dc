// What does `-m rpfilter` test? Whether the route back to a packet's source leaves by the interface that it came by.
import { RpfilterFlag } from '../../../assembly/vocabulary.ts';
import type { MatchExtension } from './matches.ts';

export const RPFILTER: MatchExtension = {
  options: [
    { names: ['loose'], values: 0 },
    // The mark chooses among routing tables, of which only the usual ones are read (src/topology/routes.ts).
    { names: ['validmark'], values: 0 },
    { names: ['accept-local'], values: 0 },
    { names: ['invert'], values: 0 },
  ],
  build(use) {
    const loose = use.has('loose') ? RpfilterFlag.LOOSE : 0;
    const local = use.has('accept-local') ? RpfilterFlag.ACCEPT_LOCAL : 0;
    return { kind: 'rpfilter', flags: loose | local, invert: use.has('invert') };
  },
};
