// How does rule code come into an engine? Apart from what makes it, so that workers load no compiler.

import { EngineError } from '../errors.ts';

/** Custom section with the length that the engine's table must have (u32). */
export const TABLE_LENGTH_SECTION = 'table-length';

/** Name of the import module that the emitted code expects. */
export const IMPORT_MODULE = 'engine';

/**
 * Instantiates emitted code over the engine's memory and puts its chains into the engine's table.
 * Throws EngineError if the engine lacks something that the rules call.
 */
export function instantiateRuleset(
  module: WebAssembly.Module,
  memory: WebAssembly.Memory,
  engine: WebAssembly.Exports,
): WebAssembly.Instance {
  const { table } = engine;
  if (!(table instanceof WebAssembly.Table)) throw new EngineError('ENGINE_LINK', 'the engine exports no table');
  const imports: WebAssembly.ModuleImports = { memory, table };
  for (const { name, kind } of WebAssembly.Module.imports(module)) {
    if (kind !== 'function') continue;
    const exported = engine[name];
    if (typeof exported !== 'function') {
      throw new EngineError('ENGINE_LINK', `the engine does not export ${name}, which the rules call`);
    }
    imports[name] = exported;
  }
  const [wanted] = WebAssembly.Module.customSections(module, TABLE_LENGTH_SECTION);
  const needed = wanted ? new DataView(wanted).getUint32(0, true) : 0;
  if (table.length < needed) table.grow(needed - table.length);
  return new WebAssembly.Instance(module, { [IMPORT_MODULE]: imports });
}
