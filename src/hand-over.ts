// A producer that pushes, made into a generator that is pulled: one item at a time, neither side runs ahead.

/**
 * Runs `produce` and yields what it gives; `give` resolves when the consumer asks for more. Returns what `produce`
 * returns. If the consumer stops early, or `outer` aborts, the signal given to `produce` aborts.
 */
export async function* handOver<Item, Result>(
  outer: AbortSignal | undefined,
  produce: (signal: AbortSignal, give: (item: Item) => Promise<void>) => Promise<Result>,
): AsyncGenerator<Item, Result> {
  const stop = new AbortController();
  const signal = outer ? AbortSignal.any([outer, stop.signal]) : stop.signal;
  let taken: () => void = () => {};
  let refused: (reason: unknown) => void = () => {};
  let offered: (item: Item) => void = () => {};
  let next = new Promise<Item>((resolve) => {
    offered = resolve;
  });
  const give = (item: Item) =>
    new Promise<void>((resolve, reject) => {
      if (signal.aborted) reject(signal.reason);
      taken = resolve;
      refused = reject;
      offered(item);
    });
  signal.addEventListener('abort', () => refused(signal.reason), { once: true });
  const work = produce(signal, give);
  const end = work.then((result) => ({ result }));
  try {
    while (true) {
      const step = await Promise.race([end, next.then((item) => ({ item }))]);
      if ('result' in step) return step.result;
      next = new Promise<Item>((resolve) => {
        offered = resolve;
      });
      yield step.item;
      taken();
    }
  } finally {
    stop.abort(new Error('the consumer stopped'));
    await work.catch(() => {});
  }
}
