const DAY_MS = 86_400_000

/** How a language writes moments, in the viewer's zone. */
interface Moments {
  /** The time alone where it is today, the day where it is another, the year where it is far. */
  moment(at: number, now: number): string
  /** The same to the millisecond: always a time, so that moments of one day can be told apart. */
  exact(at: number, now: number): string
}

/** Moments as a language writes them, named by its tag. */
export function momentsOf(tag: string): Moments {
  const format = (options: Intl.DateTimeFormatOptions) => {
    const { format: write } = new Intl.DateTimeFormat(tag, options)
    return write
  }
  const minutes = { hour: '2-digit', minute: '2-digit' } as const
  const seconds = { ...minutes, second: '2-digit' } as const
  const millis = { ...seconds, fractionalSecondDigits: 3 } as const
  const day = { day: 'numeric', month: 'short' } as const
  const date = { ...day, year: 'numeric' } as const
  const dateOf = format(date)
  const choose = (today: Written, near: Written, far: Written) => (at: number, now: number) => {
    if (dateOf(at) === dateOf(now)) return today(at)
    return Math.abs(now - at) < 300 * DAY_MS ? near(at) : far(at)
  }
  return {
    moment: choose(format(seconds), format({ ...day, ...minutes }), dateOf),
    exact: choose(format(millis), format({ ...day, ...millis }), format({ ...date, ...millis })),
  }
}

type Written = (at: number) => string
