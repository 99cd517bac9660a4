/** A violation of the rules: files as they are with it, and what has to be said of it. */
export interface Planted {
  /** What is wrong. */
  readonly name: string
  /** The file with the violation; with others that it takes. */
  readonly path: string
  readonly text: (before: string) => string
  readonly beside?: Readonly<Record<string, string>>
  /** What the rule says that catches it. */
  readonly caught: RegExp
}

/** A line as often as is said. */
export const lines = (count: number, line: string) => `${line}\n`.repeat(count)

/** Another file, whatever it is. */
export const anew = (text: string) => () => text
/** One more thing in a file that is there. */
export const added = (text: string) => (before: string) => `${before}\n${text}`
