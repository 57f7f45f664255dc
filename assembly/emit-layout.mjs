// Compiler transform: writes src/engine/layout.ts, the offsets and sizes of every record of assembly/layout.ts and the
// numeric constants exported there, so that TypeScript never spells an offset.
import { writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { Transform } from 'assemblyscript/transform';

const SOURCE = 'layout/';
const TARGET = fileURLToPath(new URL('../src/engine/layout.ts', import.meta.url));

export default class EmitLayout extends Transform {
  afterCompile() {
    const lines = ['// Generated from assembly/layout.ts by assembly/emit-layout.mjs. Do not edit.', ''];
    for (const [name, element] of this.program.elementsByName) {
      if (!name.includes(SOURCE)) continue;
      const record = element.instances?.values().next().value;
      const literal = element.declaration?.initializer?.range.toString();
      if (record?.members) lines.push(...recordLines(element.name, record));
      else if (literal && /^(0x[0-9a-f]+|\d+)$/i.test(literal))
        lines.push(`export const ${element.name} = ${literal};`, '');
    }
    writeFileSync(TARGET, `${lines.join('\n').trimEnd()}\n`);
  }
}

function recordLines(name, record) {
  const constant = name.replace(/([a-z0-9])([A-Z])/g, '$1_$2').toUpperCase();
  const lines = [`export const ${constant} = {`, `  size: ${record.nextMemoryOffset},`];
  for (const [field, member] of record.members) {
    const offset = member.instance?.memoryOffset;
    if (offset >= 0 && !/^pad(_|$)/.test(field)) lines.push(`  ${field}: ${offset},`);
  }
  return [...lines, '} as const;', ''];
}
