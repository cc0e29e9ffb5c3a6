import { describe, expect, it } from 'vitest'
import { definitions } from './definitions.ts'
import { recipeTag } from './image-recipe.ts'

describe('recipeTag', () => {
  it('names one image for one recipe', () => {
    const recipes = ['base', ...Object.values(definitions).map(({ recipe }) => recipe)]
    const tags = recipes.map(recipeTag)
    expect(new Set(tags).size).toBe(recipes.length)
    expect(recipes.map(recipeTag)).toEqual(tags)
    for (const tag of tags) expect(tag).toMatch(/^waybill-built\/[a-z]+:[0-9a-f]{12}$/)
  })
})
