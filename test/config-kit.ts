import assert from 'node:assert/strict'
import { loadConfig } from '../src/config/config.ts'
import { ConfigError } from '../src/config/config-error.ts'

/** The mistakes of an environment; none when it loads. */
export function problemsOf(env: Record<string, string>): readonly string[] {
  try {
    loadConfig(env)
    return []
  } catch (error) {
    assert(error instanceof ConfigError)
    return error.problems
  }
}
