// The filter of the overview. Every field lives in the address.
import { filterFields, kindsOf } from "../filter";
import { Choice, Field } from "../parts/fields";
import { setQuery } from "../route";
import type { Run } from "../types";

export const columnsOf = (run: Run) =>
  run.columns ?? run.scorers.map((scorer) => ({ key: scorer, scorer, judge: "", measure: "" }));

/** A kind is wanted, not wanted, or all the same: a press goes from one to the next. */
function Kinds({ run, query }: { run: Run; query: URLSearchParams }) {
  const chosen = kindsOf(query);
  const press = (name: string) => {
    const others = chosen.filter((kind) => kind !== name && kind !== `-${name}`);
    const next = chosen.includes(name) ? [`-${name}`] : chosen.includes(`-${name}`) ? [] : [name];
    setQuery({ kind: [...others, ...next].join(","), offset: "" });
  };
  if (run.kinds.length === 0) return null;
  return (
    <fieldset>
      <legend>Kinds</legend>
      {run.kinds.map(({ name, rule }) => {
        const state = chosen.includes(name) ? "only" : chosen.includes(`-${name}`) ? "without" : "";
        return (
          <button type="button" class={`kind ${state}`} title={rule} aria-pressed={state === "" ? "false" : state === "only" ? "true" : "mixed"} onClick={() => press(name)}>
            {state && <b>{state} </b>}{name}
          </button>
        );
      })}
    </fieldset>
  );
}

export function Filters({ run, query }: { run: Run; query: URLSearchParams }) {
  const value = (name: string) => query.get(name) ?? "";
  const columns = columnsOf(run);
  const clear = () => setQuery(Object.fromEntries([...filterFields, "offset"].map((name) => [name, ""])));
  const used = filterFields.some((name) => value(name) !== "");
  return (
    <form role="search" aria-label="Filter of latents" onSubmit={(e) => e.preventDefault()}>
      <div class="fields">
        <Field id="filter" name="text" label="Words in the explanation" value={value("text")} placeholder="press /" wide />
        {run.meaning && (
          <Field name="like" label="Like in meaning" value={value("like")} placeholder="sorts by nearness" wide also={{ sort: "", desc: "" }}
                 title={`Explanations near this text in meaning, by ${run.meaning.embedder}`} />
        )}
        <Field name="token" label="Fires on the token" value={value("token")} />
        <Choice label="Hookpoint" value={value("hookpoint")} change={(hookpoint) => setQuery({ hookpoint, offset: "" })}
                options={[["", "all"], ...run.hookpoints.map((h) => h.name)]} />
        <Choice label="Explainer" value={value("explainer")} change={(explainer) => setQuery({ explainer, offset: "" })}
                options={[["", "who explained most"], ...run.explainers]} />
        <Field name="dmin" label="Density from" value={value("dmin")} type="number" step="any" />
        <Field name="dmax" label="Density to" value={value("dmax")} type="number" step="any" />
        <Field name="mmin" label="Max from" value={value("mmin")} type="number" step="any" />
        <Field name="mmax" label="Max to" value={value("mmax")} type="number" step="any" />
        <Choice label="Score" value={value("score")} change={(score) => setQuery({ score, offset: "" })}
                options={[["", "any"], ...columns.flatMap((c) => [c.key, `${c.key}.excess`])]} />
        <Field name="smin" label="Score from" value={value("smin")} type="number" step="any" />
        <Field name="smax" label="Score to" value={value("smax")} type="number" step="any" />
        <Field name="where" label="Condition" value={value("where")} placeholder="density<0.01 and not positional" wide />
      </div>
      <Kinds run={run} query={query} />
      {used && <button type="button" onClick={clear}>Clear the filter</button>}
    </form>
  );
}
