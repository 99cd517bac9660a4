import type { Setting } from './kinds.ts'

/** A setting as operators may see it. */
export interface ShownSetting {
  readonly name: string
  readonly group: string
  /** Its text; null: absent, or a secret. */
  readonly value: string | null
  /** False: it is the default. */
  readonly set: boolean
  readonly secret: boolean
  readonly doc: string
}

/** A setting without its value, where that is a secret. */
export function shownSetting(
  setting: Setting,
  given: string | null,
  fallback: string | null,
): ShownSetting {
  const { name, group, doc, secret = false } = setting
  const text = given ?? fallback
  return { name, group, value: secret ? null : text, set: given !== null, secret, doc }
}
