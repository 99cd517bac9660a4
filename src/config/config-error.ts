/** The configuration is unusable. `problems` holds every mistake; no secret is printed. */
export class ConfigError extends Error {
  override readonly name = 'ConfigError'
  readonly problems: readonly string[]

  constructor(problems: readonly string[]) {
    const count = problems.length === 1 ? '1 problem' : `${problems.length} problems`
    super(`The configuration has ${count}:\n${problems.map((line) => `  - ${line}`).join('\n')}`)
    this.problems = problems
  }
}
