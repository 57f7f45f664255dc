// TraceRecord: one step of the traced packet (64 bytes); TraceKind says which numbers mean what (trace.ts)
@unmanaged export class TraceRecord {
  kind: u32;
  a: u32;
  b: u32;
  c: u32;
  d: u32;
  e: u32;
  f: u32;
  g: u32;
  h: u32;
  i: u32;
  j: u32;
  k: u32;
  l: u32;
  m: u32;
  n: u32;
  o: u32;
}
if (offsetof<TraceRecord>() != 64) ERROR("TraceRecord is 64 bytes");
