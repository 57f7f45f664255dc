// Builds the program into build/program: src/cli/main.ts and all it needs in one file, the worker, which is started by name, and
// what V8 makes of the program, so that it need not be made at every start (launch.cjs).
import { copyFileSync, readFileSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';
import { Script } from 'node:vm';
import { build } from 'rolldown';

const root = fileURLToPath(new URL('../..', import.meta.url));
const folder = `${root}build/program`;
const require = createRequire(`${folder}/main.js`);

/** What is loaded when something of it is first used: it takes a millisecond or two, and not every run needs it. */
const LATE = [
  'node:child_process',
  'node:crypto',
  'node:fs/promises',
  'node:net',
  'node:worker_threads',
  'node:zlib',
  'cli-progress',
];

const late = {
  name: 'late',
  resolveId: (id, importer) => (LATE.includes(id) && !isStandIn(importer) ? `\0late:${id}` : undefined),
  async load(id) {
    if (!isStandIn(id)) return undefined;
    const name = id.slice('\0late:'.length);
    const members = JSON.stringify(Object.keys(await import(name)));
    return `for (const member of ${members})
      Object.defineProperty(exports, member, { enumerable: true, get: () => require('${name}')[member] });`;
  },
};

function isStandIn(id) {
  return id?.startsWith('\0late:') ?? false;
}

const common = { cwd: root, platform: 'node', logLevel: 'warn' };
const output = { dir: folder, format: 'cjs', minify: { compress: true, mangle: false } };

const program = await build({
  ...common,
  input: { program: 'src/cli/main.ts' },
  external: (id, importer) => isStandIn(importer) || (id.startsWith('node:') && !LATE.includes(id)),
  plugins: [late],
  output: {
    ...output,
    cleanDir: true,
    codeSplitting: false,
    postBanner: '(function (exports, require, __filename, __dirname) {',
    postFooter: '})',
  },
});
// Piscina starts the worker.js that lies beside it, which loads lane.js.
const worker = await build({
  ...common,
  input: { lane: 'src/pool/worker.ts', worker: 'node_modules/piscina/dist/worker.js' },
  external: /^(node:|@napi-rs)/,
  output,
});
copyFileSync(`${root}src/cli/launch.cjs`, `${folder}/main.js`);

// Packages that have become part of it have licences that go with it.
const modules = [program, worker].flatMap(({ output }) => output).flatMap(({ moduleIds }) => moduleIds ?? []);
const packages = modules.flatMap((id) => /node_modules\/((?:@[^/]+\/)?[^/]+)\//.exec(id)?.[1] ?? []);
const licences = [...new Set(packages)]
  .sort()
  .map((name) => `${name}\n\n${readFileSync(`${root}node_modules/${name}/LICENSE`, 'utf8')}`);
writeFileSync(`${folder}/LICENSES`, licences.join('\n'));
writeFileSync(`${folder}/package.json`, '{ "type": "commonjs" }\n');

// The cache holds what V8 has compiled so far: here, what a replay needs.
const script = new Script(readFileSync(`${folder}/program.js`, 'utf8'), { filename: `${folder}/program.js` });
const exported = {};
script.runInThisContext()(exported, require, `${folder}/main.js`, folder);
const capture = `${root}captures/dns.pcap`;
for (const options of [
  ['--host', `${root}captures/demo-host-new`],
  ['--workers', '2'],
]) {
  const code = await exported.main(['replay', '--quiet', ...options, capture]);
  if (code !== 0) throw new Error('the program that was built does not work');
}
writeFileSync(`${folder}/program-${process.version}-${process.arch}.cache`, script.createCachedData());
