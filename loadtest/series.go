package loadtest

// maxSamples bounds what a report keeps of a run. A longer one is kept in
// coarser steps: two neighbours become one.
const maxSamples = 1200

// series is what a run looked like over time.
type series struct {
	samples []Sample
	stride  int    // seconds a sample stands for; 0 = 1
	waiting Sample // of the one under way
	pending int    // seconds in it
}

// emitting returns an emit that also keeps the samples.
func (s *series) emitting(emit func(Sample)) func(Sample) {
	return func(x Sample) {
		s.add(x)
		if emit != nil {
			emit(x)
		}
	}
}

func (s *series) add(x Sample) {
	if s.pending == 0 {
		s.waiting = x
	} else {
		s.waiting = s.waiting.join(x)
	}
	s.pending++
	if s.pending < max(s.stride, 1) && !x.Final {
		return
	}
	s.samples = append(s.samples, s.waiting)
	s.pending = 0
	if len(s.samples) < maxSamples || x.Final {
		return
	}
	half := s.samples[:0]
	for i := 0; i+1 < len(s.samples); i += 2 {
		half = append(half, s.samples[i].join(s.samples[i+1]))
	}
	s.samples = half
	s.stride = max(s.stride, 1) * 2
}

// join makes one sample of two neighbours: counts add up; of the figures that do
// not, the worse one stays, so that a spike is not averaged away.
func (s Sample) join(next Sample) Sample {
	s.At, s.Viewers, s.Final = next.At, next.Viewers, next.Final
	s.Polls += next.Polls
	s.New += next.New
	s.Unchanged += next.Unchanged
	s.Errors += next.Errors
	s.Skipped += next.Skipped
	s.Late += next.Late
	s.Bytes += next.Bytes
	s.Keys += next.Keys
	s.Refetches += next.Refetches
	s.Gaps += next.Gaps
	s.Mismatches += next.Mismatches
	s.AgeP50 = max(s.AgeP50, next.AgeP50)
	s.AgeP99 = max(s.AgeP99, next.AgeP99)
	s.LatencyP99 = max(s.LatencyP99, next.LatencyP99)
	return s
}
