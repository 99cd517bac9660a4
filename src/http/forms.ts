import type { FastifyError } from 'fastify'

type Faults = NonNullable<FastifyError['validation']>

/** The schema of a body that has several forms. */
interface Forms {
  readonly anyOf?: readonly { readonly properties?: object }[]
}

/**
 * What is wrong with a body of several forms, by the form that was meant: the one with the most
 * members of the body that no other form has, and the first where none says more than another.
 */
export function errorsOfForm(errors: Faults, schema: unknown, body: unknown): Faults {
  const forms = (schema as Forms | undefined)?.anyOf ?? []
  if (forms.length < 2 || typeof body !== 'object' || body === null) return errors
  const names = forms.map(({ properties = {} }) => Object.keys(properties))
  const alone = names.map((mine, at) =>
    mine.filter((name) => !names.some((others, other) => other !== at && others.includes(name))),
  )
  const said = alone.map((mine) => mine.filter((name) => Object.hasOwn(body, name)).length)
  const meant = said.indexOf(Math.max(...said))
  return errors.filter(({ schemaPath }) => schemaPath.startsWith(`#/anyOf/${meant}/`))
}
