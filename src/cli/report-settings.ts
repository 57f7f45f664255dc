// What did the user give that decides what comes out, as report pages say it?

import type { Host } from '../host.ts';
import { countText } from '../report/align.ts';
import type { Setting } from '../report/page/opening.ts';
import { spanText, utcText } from '../report/time.ts';
import type { Moment } from '../run.ts';
import { SYSCTLS } from '../topology/sysctl.ts';
import type { Options } from './args.ts';

function momentText(moment: Moment): string {
  return 'at' in moment ? utcText(moment.at) : `${spanText(moment.afterFirst)} after the first packet`;
}

/** What a host consists of. @param path that was given for it */
export function hostSettings(path: string | undefined, { rulesets, sysctls, conntrack }: Host): Setting[] {
  const changed = SYSCTLS.filter(({ index, standard }) => sysctls[index] !== standard);
  const files = [...new Set(rulesets.map(({ file }) => file))];
  return [
    ['Host', path === undefined ? [] : [path]],
    ['Rulesets', files.length === 0 ? ['none'] : files],
    ['Sysctls other than usual', changed.map(({ name, index }) => `${name} = ${sysctls[index]}`)],
    ['Entries before the first packet', conntrack.length === 0 ? [] : [countText(conntrack.length)]],
  ];
}

/** Options beside the host that are not as they are without being given. */
export function optionSettings({ local, iface, at, checksums, seed }: Options): Setting[] {
  return [
    ['Own addresses', local],
    ['Interfaces', iface],
    ['Stopped at', at === undefined ? [] : [momentText(at)]],
    ['Checksums', checksums === 'auto' ? [] : [checksums]],
    ['Seed', seed === 0n ? [] : [String(seed)]],
  ];
}

/** Those that say something. */
export function given(settings: readonly Setting[]): Setting[] {
  return settings.filter(([, values]) => values.length > 0);
}
