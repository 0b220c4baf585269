-- Derives the answer of every question of a release again, from the tables beside it alone
-- (CONTRACTS 2, 4, 5, 6; docs/releases.md). Needs nothing but DuckDB:
--
--   SET VARIABLE release = 'WORKSPACE/releases/NAME-v1';
--   .read rederive.sql
--   SELECT question_id FROM rederived WHERE answer NOT IN (by_segment, by_stretch);
--
-- Of a large release a part at a time: SET VARIABLE first_video = '...', last_video likewise.
--
-- A view `rederived` is left: question_id, pack, answer as stored, and the derived one in the two
-- readings of "when" that packs have: the event's segment, or every stretch of sound in sight.

CREATE OR REPLACE MACRO tenth(x) AS  -- half-up of the shortest decimal, in tenths
  CAST(floor(CAST(CAST(x AS VARCHAR) AS DECIMAL(38, 18)) * 10 + 0.5) AS BIGINT);
CREATE OR REPLACE MACRO thousandth(x) AS
  CAST(floor(CAST(CAST(x AS VARCHAR) AS DECIMAL(38, 18)) * 1000 + 0.5) AS BIGINT);
CREATE OR REPLACE MACRO fixed1(tenths) AS
  printf('%d.%d', tenths // 10, tenths % 10);
CREATE OR REPLACE MACRO fixed3(units) AS
  printf('%d.%03d', units // 1000, units % 1000);
CREATE OR REPLACE MACRO box_text(moment, a, b, c, d) AS
  fixed1(moment) || ': [' || fixed3(thousandth(a)) || ', ' || fixed3(thousandth(b)) || ', '
  || fixed3(thousandth(c)) || ', ' || fixed3(thousandth(d)) || ']';
CREATE OR REPLACE MACRO same_times(a, b) AS  -- equal within 0.1 s
  len(a) = len(b) AND len(list_filter(list_zip(a, b), lambda p:
    abs(p[1].start_s - p[2].start_s) > 0.1 + 1e-6 OR abs(p[1].end_s - p[2].end_s) > 0.1 + 1e-6)) = 0;

CREATE OR REPLACE MACRO in_part(video) AS
  video >= coalesce(getvariable('first_video'), '')
  AND (getvariable('last_video') IS NULL OR video <= getvariable('last_video'));

CREATE OR REPLACE TEMP TABLE questions AS
  SELECT * EXCLUDE (truth_json, digest) FROM read_parquet(getvariable('release') || '/data/*/*.parquet')
  WHERE in_part(video_id);
CREATE OR REPLACE TEMP TABLE videos AS
  SELECT video_id, width, height FROM read_parquet(getvariable('release') || '/tables/videos.parquet')
  WHERE in_part(video_id) AND video_id IN (SELECT video_id FROM questions);
CREATE OR REPLACE TEMP TABLE events AS
  SELECT event_id, video_id, segments FROM read_parquet(getvariable('release') || '/tables/events.parquet')
  WHERE in_part(video_id) AND video_id IN (SELECT video_id FROM videos);
CREATE OR REPLACE TEMP TABLE objects AS
  SELECT object_id, video_id, name FROM read_parquet(getvariable('release') || '/tables/objects.parquet')
  WHERE in_part(video_id) AND video_id IN (SELECT video_id FROM videos);
CREATE OR REPLACE TEMP TABLE parts AS
  SELECT event_id, object_id, sounding
  FROM read_parquet(getvariable('release') || '/tables/event_objects.parquet')
  WHERE event_id IN (SELECT event_id FROM events);
CREATE OR REPLACE TEMP TABLE inspections AS
  SELECT inspection_id, event_id, verdict, segments, tubes, "at", inspected_by, resolved_from,
    shown_segments
  FROM read_parquet(getvariable('release') || '/tables/inspections.parquet')
  WHERE event_id IN (SELECT event_id FROM events);
CREATE OR REPLACE TEMP TABLE computed AS
  SELECT tube_id, object_id, "window", times_s, boxes, state, box_space, digest
  FROM read_parquet(getvariable('release') || '/tables/tubes.parquet')
  WHERE in_part(video_id) AND video_id IN (SELECT video_id FROM videos);
CREATE OR REPLACE TEMP TABLE revised AS
  SELECT tube_id, object_id, "window", times_s, boxes, state, box_space, digest
  FROM read_parquet(getvariable('release') || '/tables/revised_tubes.parquet')
  WHERE in_part(video_id) AND video_id IN (SELECT video_id FROM videos)
  UNION  -- a revision that a later one replaced still belongs to the inspection that made it
  SELECT tube_id, object_id, "window", times_s, boxes, state, box_space, shown_digest
  FROM read_parquet(getvariable('release') || '/tables/shown_tubes.parquet')
  WHERE in_part(video_id) AND video_id IN (SELECT video_id FROM videos);

-- What stands after inspection: of each event the highest ranking inspection that was made of its
-- tubes and times as they are; people before rules, the latest first.
CREATE OR REPLACE TEMP TABLE deciding AS
WITH
  taken_back AS (
    SELECT event_id, max("at") AS "at" FROM inspections
    WHERE inspected_by = 'human' AND verdict = 'unsure' AND len(tubes) = 0
      AND len(shown_segments) = 0 AND resolved_from IS NULL
    GROUP BY event_id
  ),
  of_event AS (  -- digests of the event's tubes: of its objects, with a "window" in its segments
    SELECT e.event_id, list_sort(list_distinct(list(c.digest))) AS digests
    FROM events e JOIN parts p USING (event_id) JOIN computed c USING (object_id)
    WHERE len(list_filter(e.segments, lambda s:
      s.start_s < c."window".end_s AND c."window".start_s < s.end_s)) > 0
    GROUP BY e.event_id
  ),
  applies AS (
    SELECT i.*, e.segments AS given
    FROM inspections i
    JOIN events e USING (event_id)
    LEFT JOIN of_event o USING (event_id)
    LEFT JOIN taken_back b ON b.event_id = i.event_id
    WHERE (b."at" IS NULL OR i.inspected_by <> 'human' OR i."at" > b."at")
      AND list_sort(list_distinct(list_filter(
        list_transform(i.tubes, lambda t: t.before_digest), lambda d: d IS NOT NULL)))
        = coalesce(o.digests, [])
      AND (len(i.shown_segments) = 0 OR same_times(i.shown_segments, e.segments))
  )
SELECT * FROM applies
QUALIFY row_number() OVER (
  PARTITION BY event_id ORDER BY (inspected_by = 'human') DESC, "at" DESC, inspection_id DESC) = 1;
DELETE FROM deciding WHERE verdict <> 'ok';

CREATE OR REPLACE TEMP TABLE accepted AS
WITH judged AS (
  SELECT d.inspected_by, d."at", d.inspection_id, unnest(d.tubes) AS tube FROM deciding d
), last AS (
  -- An ok was given of the tube as it was computed: it undoes no fix of another event.
  SELECT * FROM (SELECT *, bool_or(tube.verdict = 'fixed') OVER (PARTITION BY tube.tube_id) AS is_fixed
    FROM judged)
  QUALIFY row_number() OVER (PARTITION BY tube.tube_id
    ORDER BY tube.verdict = 'ok' AND is_fixed, (inspected_by = 'human') DESC, "at" DESC, inspection_id DESC) = 1
)
SELECT c.* FROM last l JOIN computed c ON c.tube_id = l.tube.tube_id WHERE l.tube.verdict = 'ok'
UNION ALL
SELECT r.* FROM last l JOIN revised r ON r.digest = l.tube.after_digest
WHERE l.tube.verdict IN ('fixed', 'added');

CREATE OR REPLACE TEMP TABLE steps AS
  SELECT tube_id, object_id, "window", coalesce(list_median(list_transform(
    range(2, len(times_s) + 1), lambda i: times_s[i] - times_s[i - 1])), 0.0) AS step
  FROM accepted;
CREATE OR REPLACE TEMP TABLE samples AS
  SELECT tube_id, i, len(times_s) AS n, times_s[i] AS t, state[i] AS state,
    CASE WHEN a.box_space = 'native_px' THEN boxes[i].x1 / v.width ELSE boxes[i].x1 END AS x1,
    CASE WHEN a.box_space = 'native_px' THEN boxes[i].y1 / v.height ELSE boxes[i].y1 END AS y1,
    CASE WHEN a.box_space = 'native_px' THEN boxes[i].x2 / v.width ELSE boxes[i].x2 END AS x2,
    CASE WHEN a.box_space = 'native_px' THEN boxes[i].y2 / v.height ELSE boxes[i].y2 END AS y2
  FROM (SELECT *, unnest(range(1, len(times_s) + 1)) AS i FROM accepted) a
  JOIN objects o USING (object_id) JOIN videos v USING (video_id);

-- S(o): when an object sounds, its parts fitted to the segments as the inspection left them.
CREATE OR REPLACE TEMP TABLE sounding AS
SELECT p.object_id, greatest(s.start_s, g.start_s) AS a, least(s.end_s, g.end_s) AS b
FROM (
  SELECT p.object_id, d.segments, p.sounding, unnest(d.segments) AS g,
    len(p.sounding) > 0 AND same_times(p.sounding, d.given) AS whole
  FROM parts p JOIN deciding d USING (event_id)
) p, LATERAL (SELECT unnest(CASE WHEN whole THEN [g] ELSE p.sounding END) AS s)
WHERE greatest(s.start_s, g.start_s) < least(s.end_s, g.end_s);

-- V(o): when an accepted tube is visible.
CREATE OR REPLACE TEMP TABLE visible AS
WITH
  near AS (
    SELECT s.*, k.step, k.object_id, k."window",
      lead(s.t) OVER w AS next_t, lead(s.state) OVER w AS next_state
    FROM samples s JOIN steps k USING (tube_id) WINDOW w AS (PARTITION BY tube_id ORDER BY i)
  ),
  found AS (
    SELECT object_id, "window", t - step / 2 AS a, t + step / 2 AS b FROM near WHERE state = 'visible'
    UNION ALL
    SELECT object_id, "window", t, next_t FROM near
    WHERE state = 'visible' AND next_state = 'visible' AND next_t - t <= 2 * step + 1e-6
    UNION ALL
    SELECT object_id, "window", "window".start_s, t FROM near
    WHERE i = 1 AND n > 1 AND state = 'visible' AND t - "window".start_s > 0
      AND t - "window".start_s <= step + 1e-6
    UNION ALL
    SELECT object_id, "window", t, "window".end_s FROM near
    WHERE i = n AND n > 1 AND state = 'visible' AND "window".end_s - t > 0
      AND "window".end_s - t <= step + 1e-6
  )
SELECT object_id, greatest(a, "window".start_s) AS a, least(b, "window".end_s) AS b FROM found
WHERE greatest(a, "window".start_s) < least(b, "window".end_s);

-- Interval sets: touching and overlapping ones become one.
CREATE OR REPLACE MACRO merged(rows_of) AS TABLE
WITH
  seen AS (SELECT *, max(b) OVER (PARTITION BY k ORDER BY a, b
    ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS before FROM query_table(rows_of)),
  islands AS (SELECT *, count_if(before IS NULL OR a > before) OVER (
    PARTITION BY k ORDER BY a, b) AS island FROM seen)
SELECT k, min(a) AS a, max(b) AS b FROM islands GROUP BY k, island;

CREATE OR REPLACE TEMP TABLE sounding_k AS SELECT object_id AS k, a, b FROM sounding;
CREATE OR REPLACE TEMP TABLE visible_k AS SELECT object_id AS k, a, b FROM visible;
CREATE OR REPLACE TEMP TABLE s_of AS SELECT * FROM merged('sounding_k');
CREATE OR REPLACE TEMP TABLE v_of AS SELECT * FROM merged('visible_k');
CREATE OR REPLACE TEMP TABLE active AS
  SELECT s.k AS object_id, greatest(s.a, v.a) AS a, least(s.b, v.b) AS b
  FROM s_of s JOIN v_of v ON v.k = s.k AND greatest(s.a, v.a) < least(s.b, v.b);

-- The stretches that each question is about, in tenths, in both readings.
CREATE OR REPLACE TEMP TABLE moments_k AS
WITH asked AS (SELECT * FROM questions WHERE task <> 'spatial')
SELECT q.question_id || '#segment' AS k, tenth(g.start_s) AS a, tenth(g.end_s) AS b
FROM (SELECT q.question_id, q.asked_object_id, unnest(d.segments) AS g
      FROM asked q JOIN deciding d ON d.event_id = q.event_ids[1] WHERE len(q.event_ids) = 1) q
WHERE EXISTS (SELECT 1 FROM active x WHERE x.object_id = q.asked_object_id
  AND greatest(x.a, g.start_s) < least(x.b, g.end_s))
UNION ALL
SELECT q.question_id || '#stretch', tenth(x.a), tenth(x.b)
FROM asked q JOIN active x ON x.object_id = q.asked_object_id;
DELETE FROM moments_k WHERE a >= b;
CREATE OR REPLACE TEMP TABLE spans AS  -- the longest segment, of equals the first
SELECT question_id || '#span' AS k, g.start_s AS s, g.end_s AS e,
  tenth(g.start_s) AS a, tenth(g.end_s) AS b
FROM (SELECT q.question_id, unnest(d.segments) AS g
      FROM questions q JOIN deciding d ON d.event_id = q.event_ids[1] WHERE q.task = 'spatial')
QUALIFY row_number() OVER (PARTITION BY question_id
  ORDER BY g.end_s - g.start_s DESC, g.start_s) = 1;
CREATE OR REPLACE TEMP TABLE intervals AS
  SELECT * FROM merged('moments_k') UNION ALL SELECT k, a, b FROM spans WHERE a < b;
CREATE OR REPLACE TEMP TABLE grid AS
  SELECT DISTINCT k, unnest(range(a, b, 10)) AS tenth FROM intervals;

-- Who may be in the answer.
CREATE OR REPLACE TEMP TABLE wanted AS
SELECT i.k, q.asked_object_id AS object_id
FROM (SELECT DISTINCT k FROM intervals) i
JOIN questions q ON q.question_id = split_part(i.k, '#', 1) AND q.task = 'spatio_temporal'
UNION ALL
SELECT s.k, o.object_id
FROM spans s JOIN questions q ON q.question_id = split_part(s.k, '#', 1)
JOIN objects o ON o.video_id = q.video_id
WHERE (q.asked_object_id IS NULL OR q.asked_object_id = o.object_id)
  AND (q.branch = 'sounding') = EXISTS (SELECT 1 FROM s_of x
    WHERE x.k = o.object_id AND greatest(x.a, s.s) < least(x.b, s.e));

-- Tubes at the grid times (CONTRACTS 4).
CREATE OR REPLACE TEMP TABLE looked AS
  SELECT w.k, c.tube_id, g.tenth, g.tenth / 10.0::DOUBLE AS q
  FROM wanted w JOIN steps c USING (object_id) JOIN grid g USING (k);
CREATE OR REPLACE TEMP TABLE placed AS
WITH
  bounded AS (
    SELECT l.*, lo.i AS lo, hi.i AS hi
    FROM looked l
    ASOF LEFT JOIN samples lo ON lo.tube_id = l.tube_id AND lo.t < l.q
    ASOF LEFT JOIN samples hi ON hi.tube_id = l.tube_id AND hi.t >= l.q
  ),
  between_two AS (
    SELECT b.* EXCLUDE (lo, hi), a AS l, c AS r, k.step, k."window"
    FROM (SELECT * EXCLUDE (lo, hi), coalesce(lo, hi) AS lo, coalesce(hi, lo) AS hi FROM bounded) b
    JOIN samples a ON a.tube_id = b.tube_id AND a.i = b.lo
    JOIN samples c ON c.tube_id = b.tube_id AND c.i = b.hi
    JOIN steps k ON k.tube_id = b.tube_id
  ),
  nearest AS (
    SELECT *, CASE WHEN abs(r.t - q) < abs(q - l.t) - 1e-6 THEN r ELSE l END AS near,
      (q - l.t) / (r.t - l.t) AS weight
    FROM between_two
  ),
  decided AS (
    SELECT *, abs(near.t - q) <= step / 2 + 1e-6 AS is_sampled,
      l.state = 'visible' AND r.state = 'visible' AND l.i < r.i
        AND r.t - l.t <= 2 * step + 1e-6 AS is_between
    FROM nearest
  )
SELECT k, tube_id, tenth,
  CASE WHEN is_sampled THEN near.state WHEN is_between THEN 'visible'
       WHEN near.state = 'absent' AND abs(near.t - q) <= step + 1e-6 THEN 'absent'
       ELSE 'unknown' END AS state,
  q > "window".start_s - (0.05 + 1e-6) AND q < "window".end_s AS is_covered,
  "window",
  CASE WHEN is_sampled THEN near.x1 WHEN weight = 1 THEN r.x1 ELSE l.x1 + weight * (r.x1 - l.x1) END AS x1,
  CASE WHEN is_sampled THEN near.y1 WHEN weight = 1 THEN r.y1 ELSE l.y1 + weight * (r.y1 - l.y1) END AS y1,
  CASE WHEN is_sampled THEN near.x2 WHEN weight = 1 THEN r.x2 ELSE l.x2 + weight * (r.x2 - l.x2) END AS x2,
  CASE WHEN is_sampled THEN near.y2 WHEN weight = 1 THEN r.y2 ELSE l.y2 + weight * (r.y2 - l.y2) END AS y2
FROM decided;

-- Instances: tubes of other windows whose boxes agree are one thing.
CREATE OR REPLACE TEMP TABLE seen AS
  SELECT k, tube_id, any_value("window") AS "window", count_if(is_covered) AS covered
  FROM placed GROUP BY k, tube_id HAVING bool_or(state = 'visible');
CREATE OR REPLACE TEMP TABLE pairs AS
WITH both_seen AS (
  SELECT p.k, p.tube_id AS one, o.tube_id AS other,
    greatest(0, least(p.x2, o.x2) - greatest(p.x1, o.x1))
      * greatest(0, least(p.y2, o.y2) - greatest(p.y1, o.y1)) AS shared,
    (p.x2 - p.x1) * (p.y2 - p.y1) + (o.x2 - o.x1) * (o.y2 - o.y1) AS areas
  FROM seen a JOIN seen b ON a.k = b.k AND a.tube_id <> b.tube_id AND a."window" <> b."window"
  JOIN steps sa ON sa.tube_id = a.tube_id
  JOIN steps sb ON sb.tube_id = b.tube_id AND sb.object_id = sa.object_id
  JOIN placed p ON p.k = a.k AND p.tube_id = a.tube_id AND p.state = 'visible'
  JOIN placed o ON o.k = b.k AND o.tube_id = b.tube_id AND o.tenth = p.tenth AND o.state = 'visible'
)
SELECT k, one, other FROM both_seen GROUP BY k, one, other
HAVING avg(shared / (areas - shared)) >= 0.5;
CREATE OR REPLACE TEMP TABLE instances AS
WITH RECURSIVE reached(k, root, tube_id) AS (
  SELECT k, tube_id, tube_id FROM seen
  UNION
  SELECT r.k, r.root, p.other FROM reached r JOIN pairs p ON p.k = r.k AND p.one = r.tube_id
)
SELECT k, tube_id, min(root) AS instance FROM reached GROUP BY k, tube_id;
CREATE OR REPLACE TEMP TABLE lines AS
SELECT k, instance, tenth,
  first(struct_pack(x1 := p.x1, y1 := p.y1, x2 := p.x2, y2 := p.y2)
    ORDER BY s.covered DESC, tube_id) FILTER (p.state = 'visible') AS box
FROM instances i JOIN seen s USING (k, tube_id) JOIN placed p USING (k, tube_id)
GROUP BY k, instance, tenth;
CREATE OR REPLACE TEMP TABLE unordered AS
SELECT b.k, instance, object_id, any_value(o.name) AS name, tubes,
  min(tenth) AS first_seen, arg_min(box.x1, tenth) AS first_left,
  string_agg(box_text(tenth, box.x1, box.y1, box.x2, box.y2), chr(10) ORDER BY tenth) AS text
FROM (
  SELECT k, instance, any_value(s.object_id) AS object_id, list_sort(list(tube_id)) AS tubes
  FROM instances JOIN steps s USING (tube_id) GROUP BY k, instance
) b JOIN lines l USING (k, instance) JOIN objects o USING (object_id)
WHERE box IS NOT NULL GROUP BY b.k, instance, object_id, tubes;
CREATE OR REPLACE TEMP TABLE blocks AS  -- by place, the instances of one object together
WITH ranked AS (SELECT *, row_number() OVER (
  PARTITION BY k ORDER BY first_seen, first_left, name, tubes) AS rank FROM unordered)
SELECT *, min(rank) OVER (PARTITION BY k, object_id) AS object_rank FROM ranked;

-- The texts (CONTRACTS 6).
CREATE OR REPLACE TEMP TABLE texts AS
WITH
  whens AS (
    SELECT k, '<when>' || string_agg('[' || fixed1(a) || ', ' || fixed1(b) || ']', ', ' ORDER BY a)
      || '</when>' AS text FROM intervals WHERE NOT ends_with(k, '#span') GROUP BY k
  ),
  bodies AS (
    SELECT w.k, '<object>' || o.name || '</object>' || chr(10) || w.text AS text
    FROM whens w JOIN questions q ON q.question_id = split_part(w.k, '#', 1)
    JOIN objects o ON o.object_id = q.asked_object_id WHERE q.task = 'temporal'
    UNION ALL
    SELECT w.k, '<object>' || b.name || '</object>' || chr(10) || w.text || chr(10)
      || '<where>' || chr(10) || b.text || chr(10) || '</where>'
    FROM whens w JOIN questions q ON q.question_id = split_part(w.k, '#', 1)
    JOIN blocks b ON b.k = w.k AND b.tubes = list_sort(q.tube_ids)  -- one of two, where asked so
    WHERE q.task = 'spatio_temporal'
    UNION ALL
    SELECT s.k, coalesce(string_agg('<object>' || b.name || '</object>' || chr(10) || '<where>'
      || chr(10) || b.text || chr(10) || '</where>', chr(10)
      ORDER BY b.object_rank, b.rank), '<object>none</object>')
    FROM spans s LEFT JOIN blocks b USING (k) GROUP BY s.k
  )
SELECT split_part(k, '#', 1) AS question_id, split_part(k, '#', 2) AS reading,
  '<answer>' || chr(10) || text || chr(10) || '</answer>' AS text
FROM bodies;
CREATE OR REPLACE TEMP VIEW rederived AS
SELECT q.question_id, q.pack, q.answer,
  coalesce(max(t.text) FILTER (t.reading <> 'stretch'), '(nothing)') AS by_segment,
  coalesce(max(t.text) FILTER (t.reading <> 'segment'), '(nothing)') AS by_stretch
FROM questions q LEFT JOIN texts t USING (question_id)
GROUP BY q.question_id, q.pack, q.answer;
