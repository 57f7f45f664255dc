// How fast does pcap-parser (npm) count the packets of a capture? A program of its own: `count-packets FILE`.

import { createReadStream } from 'node:fs';
import { createRequire } from 'node:module';

/** The part of pcap-parser (CommonJS, no types) that is used. */
interface PcapParser {
  parse(stream: NodeJS.ReadableStream): NodeJS.EventEmitter;
}

const { parse } = createRequire(import.meta.url)('pcap-parser') as PcapParser;

let packets = 0;
const parser = parse(createReadStream(process.argv[2]!));
parser.on('packet', () => packets++);
parser.on('end', () => process.stdout.write(`${packets}\n`));
parser.on('error', (error: Error) => {
  throw error;
});
