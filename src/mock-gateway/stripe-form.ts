/** The fields of a form, nested ones by their bracketed names: `metadata[order]`. */
export type Form = ReadonlyMap<string, string>

/** Read a form or a query. Of equal names the last counts. */
export function readForm(text: string): Form {
  return new Map(new URLSearchParams(text))
}

/** The members of a nested field. */
export function membersOf(form: Form, name: string): Readonly<Record<string, string>> {
  const members = [...form].flatMap(([field, value]) => {
    const member = field.startsWith(`${name}[`) ? field.slice(name.length + 1, -1) : null
    return member === null ? [] : [[member, value] as const]
  })
  return Object.fromEntries(members)
}

/** A field that is none of these, without its brackets; undefined: all are known. */
export function unknownField(form: Form, known: string): string | undefined {
  const names = new Set(known.split(' '))
  return [...form.keys()]
    .map((field) => field.replace(/\[.*$/, ''))
    .find((name) => !names.has(name))
}
