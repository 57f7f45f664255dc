#!/usr/bin/env node
// Starts the program (build/program/main.js): program.js, with what V8 made of it when it was built.
//
// With the cache V8 neither parses the program nor compiles what a usual run needs. It takes a cache only from its own version
// under its own flags; otherwise it does its work as ever.

const { readFileSync } = require('node:fs');
const { Script } = require('node:vm');

const filename = `${__dirname}/program.js`;
const cachedData = readFileSync(`${__dirname}/program.cache`);
const program = {};
new Script(readFileSync(filename, 'utf8'), { filename, cachedData }).runInThisContext()(program, require, __filename, __dirname);
// All that was to be written is written: nothing is worth waiting for, least of all that memory is given back piece by piece.
program.main(process.argv.slice(2)).then((code) => process.exit(code));
