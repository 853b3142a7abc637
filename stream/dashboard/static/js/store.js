// What the page knows, in one place; views say which keys they depend on.

export function createStore(initial) {
  const state = { ...initial };
  const listeners = [];
  return {
    state,
    set(changes) {
      const changed = Object.keys(changes).filter((key) => !Object.is(state[key], changes[key]));
      Object.assign(state, changes);
      for (const { keys, react } of listeners) if (keys.some((key) => changed.includes(key))) react(state);
    },
    on(keys, react) {
      listeners.push({ keys, react });
    },
  };
}

// Run async work; a call made meanwhile runs it once more afterwards, with what is known then.
export function latest(work) {
  let running = false;
  let again = false;
  return async function run() {
    again = true;
    if (running) return;
    running = true;
    try {
      while (again) {
        again = false;
        await work();
      }
    } catch (error) {
      // a server that is away is the live channel's business; the next revision tries again
      if (!(error instanceof TypeError) && error.name !== "HttpError") throw error;
    } finally {
      running = false;
    }
  };
}
