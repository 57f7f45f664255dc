#!/usr/bin/env node
// Starts the program (build/program/main.js): program.js, with what V8 made of it when it was built.
//
// With the cache V8 neither parses the program nor compiles what a usual run needs. It takes a cache only from its own version
// under its own flags, and believes what is in it; without one it does its work as ever.

const { existsSync, readFileSync } = require('node:fs');
const { Script } = require('node:vm');

/** Exit code of what goes wrong: 1 would say that differences were found. */
const TROUBLE = 2;

async function launch() {
  const filename = `${__dirname}/program.js`;
  const cache = `${__dirname}/program-${process.version}-${process.arch}.cache`;
  const cachedData = existsSync(cache) ? readFileSync(cache) : undefined;
  const script = new Script(readFileSync(filename, 'utf8'), { filename, cachedData });
  const program = {};
  script.runInThisContext()(program, require, __filename, __dirname);
  return program.main(process.argv.slice(2));
}

// All that was to be written is written then: nothing is worth waiting for, least of all that memory is given back piece by piece.
launch().then(process.exit, (error) => {
  console.error(error);
  process.exit(TROUBLE);
});
