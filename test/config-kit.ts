import assert from 'node:assert/strict'
import { ConfigError, loadConfig } from '../src/config/config.ts'

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
