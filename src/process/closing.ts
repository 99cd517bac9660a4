/** What somebody owns, closed in the reverse order of its opening. */
export interface Closing {
  /** Owe `close` from now on. After the end it runs at once: what is opened late is not kept. */
  push(close: () => Promise<void> | void): void
  /**
   * Close everything, newest first, once. What cannot be closed keeps nothing else open; the first
   * such error is thrown at the end.
   */
  close(): Promise<void>
}

/**
 * A stack of what is still to be closed: the one place for it, on every path. In which order a
 * process shuts down is that of `open` in `start.ts`, from its end.
 */
export function closing(): Closing {
  const open: (() => Promise<void> | void)[] = []
  const errors: unknown[] = []
  let ending: Promise<void> | null = null
  let ended = false

  const end = async (): Promise<void> => {
    for (let close = open.pop(); close !== undefined; close = open.pop()) {
      try {
        await close()
      } catch (error) {
        errors.push(error)
      }
    }
    ended = true
    if (errors.length > 0) throw errors[0]
  }

  return {
    push(close) {
      if (!ended) return void open.push(close)
      void (async () => close())().catch(() => undefined)
    },
    close: () => (ending ??= end()),
  }
}
